"""Small exact replicas of the corpora people have: real names, real columns, real sound."""

import pytest

from ringtrue.data.trials import Trial


class Told(list):
    """A progress callback that remembers what it was told."""

    def __call__(self, line: str) -> None:
        self.append(line)

    def about(self, text: str) -> list[str]:
        return [line for line in self if text in line]


@pytest.fixture
def told():
    return Told()


@pytest.fixture(scope="session")
def sounds(encode, speechlike):
    """The same fifth of a second in the formats that corpora come in."""
    samples = speechlike(0.2)
    return {kind: encode(kind, samples) for kind in ("wav", "flac", "wav_float", "mp3")}


@pytest.fixture
def plant(tmp_path, sounds):
    """`plant("a/b.flac", "c.wav")` writes recordings, coded as their suffix says."""

    def plant(*recordings: str):
        for name in recordings:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sounds[path.suffix.removeprefix(".")])
        return tmp_path

    return plant


@pytest.fixture
def write(tmp_path):
    """`write("a/meta.csv", "text")`."""

    def write(name: str, text: str, encoding: str = "utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding, newline="")
        return path

    return write


@pytest.fixture
def parquet_file(tmp_path, encode, speechlike):
    """`parquet_file("x.parquet", columns)` with one recording a row, 0.1 s longer each, in row groups of two."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def parquet_file(name: str, columns: dict, sound: str = "audio", first: int = 1):
        count = len(next(iter(columns.values())))
        recordings = [
            {"bytes": encode("flac", speechlike(0.1 * (first + row))), "path": f"{row}.flac"}
            for row in range(count)
        ]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pyarrow.table({**columns, sound: recordings} if sound else columns)
        parquet.write_table(table, path, row_group_size=2)
        return path

    return parquet_file


@pytest.fixture
def by_id():
    """`by_id(trials)["name"]`."""

    def by_id(trials: list[Trial]) -> dict[str, Trial]:
        return {trial.id: trial for trial in trials}

    return by_id
