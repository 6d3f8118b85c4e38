import io

import pytest

from ringtrue.data.corpora import store
from ringtrue.data.trials import Trial
from ringtrue.engine.listing import Listing, Part, find_tables
from ringtrue.engine.work import Scoring
from ringtrue.errors import AudioError, CorpusError

pytest.importorskip("pyarrow", reason="object stores are read by pyarrow: pip install 'ringtrue[cluster]'")


def trials_of(*addresses, splits=("test",), part_trials=2):
    listing = Listing(part_trials, addresses=addresses, splits=splits)
    return [trial for part in listing.parts() for trial in part.trials]


def put(address, *lines):
    store.write_bytes(address, ("\n".join(lines) + "\n").encode())


def test_a_part_travels_as_text_and_keeps_its_name():
    part = Part((Trial("a", "/x/a.wav", "spoof", "vits", duration_s=1.5), Trial("b", "s3://c/b.wav", "")))
    again = Part.from_json(part.to_json())
    assert again == part
    assert again.name == part.name
    assert Part(part.trials[:1]).name != part.name


def test_a_corpus_is_cut_in_order():
    trials = tuple(Trial(str(number), "", "spoof") for number in range(7))
    assert [len(part.trials) for part in Listing(3, trials).parts()] == [3, 3, 1]
    assert trials == tuple(trial for part in Listing(3, trials).parts() for trial in part.trials)


def test_a_table_in_a_store_is_read_row_by_row():
    pytest.importorskip("fsspec")
    put(
        "memory://lists/a.csv",
        "path,key,subset,attack",
        "x/1.wav,fake,eval,A07",
        "s3://other/2.wav,0,,",
        "3.wav,genuine,training,",
        ",spoof,eval,A08",
    )
    found = trials_of("memory://lists/a.csv")
    assert [trial.id for trial in found] == ["x/1.wav", "s3://other/2.wav", "memory://lists/a.csv, line 5"]
    assert [trial.audio for trial in found[:2]] == ["memory://lists/x/1.wav", "s3://other/2.wav"]
    assert [trial.label for trial in found] == ["spoof", "0", "spoof"]
    assert found[0].system == "A07"
    assert "no recording named" in found[2].audio


def test_a_folder_in_a_store_is_its_tables_or_its_recordings(tmp_path):
    pytest.importorskip("fsspec")
    for name in ("b/2.flac", "a/1.wav", "notes.txt", ".hidden.wav"):
        store.write_bytes(f"memory://calls/{name}", b"sound")
    assert find_tables("memory://calls") == ("memory://calls",)
    assert [trial.id for trial in trials_of("memory://calls")] == ["a/1.wav", "b/2.flac"]
    for name in ("2.tsv", "1.tsv"):
        put(f"memory://tables/{name}", "audio\tlabel", "a.wav\tspoof")
    assert find_tables("memory://tables") == ("memory://tables/1.tsv", "memory://tables/2.tsv")
    (tmp_path / "a.wav").write_bytes(b"sound")
    (here,) = trials_of(f"file://{tmp_path}")
    assert here.audio == str(tmp_path / "a.wav")
    store.write_bytes("memory://empty/notes.txt", b"text")
    with pytest.raises(CorpusError, match="neither recordings"):
        find_tables("memory://empty")


def test_parquet_in_a_store_lists_and_gives_its_sound(encode, speechlike):
    pytest.importorskip("fsspec")
    import pyarrow
    import pyarrow.parquet

    from ringtrue.data.corpora import load_samples

    sound = encode("flac", speechlike(0.5))
    table = pyarrow.table(
        {"id": ["a", "b"], "label": ["real", "fake"], "audio": [{"bytes": sound}, {"bytes": b"?"}]}
    )
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    store.write_bytes("memory://shards/0.parquet", content.getvalue())
    first, second = trials_of("memory://shards/0.parquet")
    assert (first.id, first.label, first.audio) == ("a", "bonafide", "memory://shards/0.parquet#0")
    assert len(load_samples(first)) == 8_000
    with pytest.raises(AudioError, match="shards/0.parquet#1"):
        load_samples(second)


def test_recordings_in_a_store_are_fetched_or_said_to_be_missing(encode, speechlike):
    pytest.importorskip("fsspec")
    from ringtrue.data.corpora import load_samples

    store.write_bytes("memory://sound/a.flac", encode("flac", speechlike(0.5)))
    assert len(load_samples(Trial("a", "memory://sound/a.flac", ""))) == 8_000
    with pytest.raises(AudioError, match="memory://sound/b.flac cannot be read"):
        load_samples(Trial("b", "memory://sound/b.flac", ""))


class Gushing:
    """A store whose objects go on for ever, or as long as they like, whatever they claim of their size."""

    def __init__(self, size, line=b"\0", content=None):
        self.size, self._line, self._content, self.given = size, line, content, 0

    def read(self, count=-1):
        assert 0 <= count <= 4 << 20, "all of it, at once"
        place = self.given if self._content else self.given % len(self._line)
        piece = (self._content or self._line * (count // len(self._line) + 2))[place : place + count]
        self.given += len(piece)
        return piece


@pytest.fixture
def gushing(monkeypatch):
    """`gushing(size, …)` is the store from now on; it can be asked how much it gave."""
    fsspec, arrow = pytest.importorskip("fsspec"), pytest.importorskip("pyarrow.fs")

    class System(fsspec.AbstractFileSystem):
        cachable = False

        def __init__(self, file):
            super().__init__()
            self.file = file

        def info(self, path, **_):
            return {"name": path, "size": self.file.size, "type": "file"}

        def _open(self, path, mode="rb", **_):
            return io.BufferedReader(Raw(self.file))

    class Raw(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def readable(self):
            return True

        def readinto(self, room):
            piece = self.file.read(len(room))
            room[: len(piece)] = piece
            return len(piece)

    def gushing(*arguments, **more):
        file = Gushing(*arguments, **more)
        system = arrow.PyFileSystem(arrow.FSSpecHandler(System(file)))
        monkeypatch.setattr(store, "_resolve", lambda address: (system, address))
        return file

    return gushing


@pytest.mark.parametrize("claimed", [None, 0, 100, 1 << 60])
def test_a_recording_without_end_is_a_row_with_an_error(claimed, gushing, tiny_onnx, monkeypatch):
    """It is read in pieces up to the limit, whatever it claims."""
    monkeypatch.setattr(store, "MAX_HELD_BYTES", 8 << 20)
    file = gushing(claimed)
    row = Scoring.by(tiny_onnx).load()(Trial("a", "s3://bucket/a.wav", ""))
    assert row == {
        "error": "s3://bucket/a.wav is larger than 8 MiB, the most that is fetched of a recording; split it, or "
        "download it and give its path"
    }
    assert 8 << 20 < file.given < 16 << 20


def test_a_recording_that_claims_to_be_without_end_is_read(gushing, encode, speechlike):
    sound = encode("flac", speechlike(0.5))
    gushing(1 << 60, content=sound)
    assert store.read_bytes("s3://bucket/a.flac") == sound


def test_what_a_store_raises_of_its_own_is_an_error_of_the_recording(gushing):
    class Throttled(Exception):
        pass

    def read(count):
        raise Throttled("slow down")

    gushing(100).read = read
    with pytest.raises(AudioError, match="s3://bucket/a.flac cannot be read: slow down"):
        store.read_bytes("s3://bucket/a.flac")


@pytest.mark.parametrize("line", [b"x", b'"x\n",'])
def test_a_table_with_a_row_without_end_is_refused(line, gushing):
    file = gushing(1 << 60, line=line)
    with pytest.raises(CorpusError, match="a row has 1,048,576 characters or more"):
        list(trials_of("s3://bucket/a.csv"))
    assert file.given < 16 << 20


def test_a_scheme_that_nothing_knows_is_one_line():
    pytest.importorskip("fsspec")
    with pytest.raises(CorpusError, match="no file system for nowhere://"):
        list(trials_of("nowhere://a/b.csv"))
