"""A corpus listed before is not listed again, unless something about it has changed."""

import os

import pytest

from ringtrue.data.corpora import index, load_corpus, mlaad
from ringtrue.errors import CorpusError


@pytest.fixture
def corpus(plant, write, monkeypatch, tmp_path_factory):
    """Three systems; one row of their tables has no recording. Small, and yet worth an index here."""
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(index, "WORTH", 1)
    monkeypatch.setattr("ringtrue.data.corpora.rows.MOST_BAD", 0.5)
    for system in ("a", "b", "c"):
        root = plant(*(f"m/fake/en/{system}/{clip}.wav" for clip in range(4)))
        rows = [
            f"./fake/en/{system}/{clip}.wav|{system}/{clip}.wav|en" for clip in range(4 + (system == "a"))
        ]
        write(f"m/fake/en/{system}/meta.csv", "path|original_file|language\n" + "\n".join(rows))
    return root / "m"


@pytest.fixture
def listings(monkeypatch):
    """How often the corpus was really listed."""
    calls = []
    read = mlaad.model_folders
    monkeypatch.setattr(mlaad, "model_folders", lambda *words: calls.append(words) or read(*words))
    return calls


def later(path):
    """Move a time on: two changes within a tick of the clock must not look like none."""
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


def test_the_second_time_nothing_is_listed_and_all_is_the_same(corpus, listings, told):
    first = load_corpus(f"mlaad:{corpus}", told)
    lines = list(told)
    told.clear()
    assert load_corpus(f"mlaad:{corpus}", told) == first
    assert list(told) == lines
    assert any("no recording at" in line and "line 6" in line for line in lines)
    assert len(listings) == 1
    load_corpus(f"mlaad:{corpus}?languages=en", told)
    assert len(listings) == 2


@pytest.mark.parametrize("change", ["new file", "gone file", "table", "new folder", "code"])
def test_any_change_lists_it_again(corpus, listings, told, change, monkeypatch):
    load_corpus(f"mlaad:{corpus}", told)
    folder = corpus / "fake" / "en" / "b"
    if change == "new file":
        (folder / "9.wav").touch()
        later(folder)
    elif change == "gone file":
        (folder / "0.wav").unlink()
        later(folder)
    elif change == "table":
        (folder / "meta.csv").write_text(
            (folder / "meta.csv").read_text().replace("b/0.wav|en", "b/x.wav|en")
        )
        later(folder / "meta.csv")
    elif change == "new folder":
        (corpus / "fake" / "de").mkdir()
        later(corpus / "fake")
    else:
        monkeypatch.setattr(index, "_code", lambda: 1)
    load_corpus(f"mlaad:{corpus}", told)
    assert len(listings) == 2


def test_half_an_index_is_none(corpus, listings, told):
    first = load_corpus(f"mlaad:{corpus}", told)
    (path,) = _indices()
    path.write_bytes(path.read_bytes()[:100])
    assert load_corpus(f"mlaad:{corpus}", told) == first
    assert len(listings) == 2


def _indices():
    from ringtrue.files import cache_dir

    return (cache_dir() / "index").glob("*.json")


def test_what_cannot_be_read_leaves_no_index(corpus, told):
    with pytest.raises(CorpusError):
        load_corpus(f"mlaad:{corpus}?languages=xx", told)
    assert list(_indices()) == []


def test_small_corpora_are_not_worth_it(corpus, told, monkeypatch):
    monkeypatch.setattr(index, "WORTH", 1_000)
    load_corpus(f"mlaad:{corpus}", told)
    assert list(_indices()) == []
