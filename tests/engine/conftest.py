"""Recordings of every fate, and ways to look at a filled folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringtrue.data.trials import Trial, write_manifest

CLIPS, DAMAGED = 11, (3, 8)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory, speechlike, encode) -> Path:
    """Eleven clips of a test split, two of them no audio."""
    folder = tmp_path_factory.mktemp("listed")
    trials = []
    for number in range(CLIPS):
        content = encode("flac", speechlike(0.3 + 0.6 * number, number))
        (folder / f"{number}.flac").write_bytes(b"not audio" if number in DAMAGED else content)
        label, system = ("bonafide", "") if number % 2 else ("spoof", "vits")
        trials.append(Trial(f"clip{number}", f"{number}.flac", label, system, split="test"))
    write_manifest(folder / "manifest.tsv", trials)
    return folder / "manifest.tsv"


@pytest.fixture
def files_in():
    """Give the bytes of every part in a folder, by name: equal folders are equal to the bit."""
    return lambda folder: {path.name: path.read_bytes() for path in Path(folder).glob("[!.]*.parquet")}


@pytest.fixture
def rows_in():
    """Give the rows of all parts in a folder, by trial."""
    import pyarrow.parquet

    def rows_in(folder):
        parts = [pyarrow.parquet.read_table(path) for path in Path(folder).glob("[!.]*.parquet")]
        return {row["trial"]: row for part in parts for row in part.to_pylist()}

    return rows_in
