"""A hub that is asked for files: listing, single files, resuming, being told to wait, being turned away."""

import pytest

from ringtrue.data.corpora import hub, load_corpus, mlaad_tiny
from ringtrue.errors import CorpusError

huggingface_hub = pytest.importorskip("huggingface_hub")


def downloads(fake):
    return [path for method, path in fake.asked if method == "GET" and "/resolve/" in path]


@pytest.fixture
def mlaad(fake, sounds):
    """A gated MLAAD of two languages; one system's name is as odd as they come."""
    files = {}
    for folder in ("en/suno_bark", "en/Resemble.ai (April 12th, 2025)", "de/suno_bark"):
        rows = ["path|original_file|language"]
        for clip in range(6):
            files[f"fake/{folder}/{clip}.wav"] = sounds["wav"] + bytes(2 * clip)
            rows.append(f"./fake/{folder}/{clip}.wav|en_US/by_book/female/reader/book/wavs/{clip}.wav|en")
        files[f"fake/{folder}/meta.csv"] = "\n".join(rows).encode()
    fake.repositories["mueller91/MLAAD"] = {"README.md": b"hello", **files}
    return files


def test_only_what_is_asked_for_is_fetched_and_only_once(fake, mlaad, tmp_path, told):
    count = hub.fetch("mueller91/MLAAD", ["fake/en/*"], tmp_path / "m", told)
    assert count == 14
    for path, content in mlaad.items():
        there = tmp_path / "m" / path
        assert (there.read_bytes() == content) if path.startswith("fake/en/") else not there.exists()
    assert told.about("14 of 14 files to fetch")
    asked = len(fake.asked)
    assert hub.fetch("mueller91/MLAAD", ["fake/en/*"], tmp_path / "m", told) == 0
    assert len(fake.asked) == asked  # complete: no network is needed any more


def test_a_stopped_run_goes_on_where_it_was(fake, mlaad, tmp_path, told, monkeypatch):
    """Killed in the fourth file; a damaged file and a missing one are fetched again, good ones are not."""
    fetch_one, count = huggingface_hub.hf_hub_download, iter(range(3))

    def dies(*arguments, **options):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return fetch_one(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub, "hf_hub_download", dies)
        with pytest.raises(KeyboardInterrupt):
            hub.fetch("mueller91/MLAAD", ["fake/de/*"], tmp_path, told)
    first = set(downloads(fake))
    assert len(first) == 3
    assert hub.fetch("mueller91/MLAAD", ["fake/de/*"], tmp_path, told) == 4
    assert len(downloads(fake)) == len(set(downloads(fake))) == 7
    assert told.about("4 of 7 files to fetch")


def test_a_broken_off_file_is_made_whole(fake, mlaad, tmp_path, told):
    path = "fake/de/suno_bark/5.wav"
    fake.cut = 1
    hub.fetch("mueller91/MLAAD", [path], tmp_path, told)
    assert (tmp_path / path).read_bytes() == mlaad[path]
    assert downloads(fake) == [f"/datasets/mueller91/MLAAD/resolve/main/{path}"] * 2


def test_a_busy_hub_is_left_alone_for_a_while(fake, mlaad, tmp_path, told):
    waits = []
    fake.busy = 14  # more than the library's own six tries
    assert hub.fetch("mueller91/MLAAD", ["fake/de/*"], tmp_path, told, sleep=waits.append) == 7
    assert waits == [5.0, 20.0]
    assert told.about("the hub is busy (429); going on in 20 s")
    fake.busy = 10_000
    with pytest.raises(CorpusError, match="run the same command again and it goes on where it stopped"):
        hub.fetch("mueller91/MLAAD", ["fake/en/*"], tmp_path, told, sleep=waits.append)
    assert waits[2:] == [5.0, 20.0, 60.0, 180.0, 300.0]


def test_a_hub_that_does_not_answer_is_asked_again(fake, mlaad, tmp_path, told, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT", 0.2)
    fake.silent = 1_000
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        fake.silent = 0

    path = "fake/de/suno_bark/5.wav"
    assert hub.fetch("mueller91/MLAAD", [path], tmp_path, told, sleep=sleep) == 1
    assert (tmp_path / path).read_bytes() == mlaad[path]
    assert waits == [5.0]
    assert told.about("did not answer to the end (ReadTimeout); going on in 5 s")


def test_a_data_set_that_is_forbidden_costs_no_wait(fake, mlaad, tmp_path, told):
    fake.forbidden.add("mueller91/MLAAD")
    with pytest.raises(CorpusError, match="mueller91/MLAAD is gated"):
        hub.fetch("mueller91/MLAAD", ["fake/*"], tmp_path, told, sleep=lambda seconds: pytest.fail("waited"))


def test_a_hub_that_is_not_there_costs_no_wait(fake, tmp_path, told, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CorpusError, match="Check the network and the name"):
        hub.fetch("a/b", ["*"], tmp_path, told, sleep=lambda seconds: pytest.fail("waited"))


def test_a_gated_data_set_says_the_steps(fake, mlaad, tmp_path, told, monkeypatch):
    fake.gated.add("mueller91/MLAAD")
    with pytest.raises(CorpusError) as caught:
        load_corpus(f"mlaad-hub:{tmp_path}", told)
    for step in (
        "mueller91/MLAAD is gated: (1)", "https://huggingface.co/datasets/mueller91/MLAAD", "accept the terms",
        "https://huggingface.co/settings/tokens", "HF_TOKEN",
    ):  # fmt: skip
        assert step in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.rglob("*.wav"))
    monkeypatch.setenv("HF_TOKEN", "hf_made_up_for_this_test")
    trials = load_corpus(f"mlaad-hub:{tmp_path}?languages=en", told)
    assert {t.system for t in trials} <= {"suno_bark", "Resemble.ai (April 12th, 2025)"}
    assert {t.language for t in trials} == {"en"}


def test_librispeech_and_the_arena_fetch_their_parquet(fake, parquet_file, tmp_path, told, monkeypatch):
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    columns = {"id": ["1-1-0", "1-1-1"], "text": ["A", "B"], "speaker_id": [1, 1]}
    libri = parquet_file("x.parquet", columns).read_bytes()
    fake.repositories["openslr/librispeech_asr"] = {
        "clean/test-00000-of-00001.parquet": libri,
        "clean/validation-00000-of-00001.parquet": b"not asked for",
        "other/test-00000-of-00001.parquet": b"not asked for",
    }
    trials = load_corpus("librispeech-hub?subsets=test-clean", told)
    assert [t.id for t in trials] == ["1-1-0", "1-1-1"]
    assert trials[0].audio.startswith(str(tmp_path / "cache" / "corpora" / "librispeech-hub" / "clean"))
    with pytest.raises(CorpusError, match=r"no subset \['clean'\]; accepted: train-clean-100"):
        load_corpus("librispeech-hub?subsets=clean", told)
    wild = parquet_file("y.parquet", {"path": ["0.wav", "1.wav"], "label": [0, 1], "notes": ["{}", "{}"]})
    fake.repositories["SpeechAntiSpoofingBenchmarks/InTheWild"] = {
        "data/test-00000-of-00001.parquet": wild.read_bytes()
    }
    assert [t.label for t in load_corpus("arena?set=InTheWild", told)] == ["bonafide", "spoof"]
    with pytest.raises(CorpusError, match="SpeechAntiSpoofingBenchmarks/None"):
        load_corpus("arena?set=None", told)


def test_mlaad_tiny_is_fetched_and_read(fake, sounds, tmp_path, told):
    files = {f"original/en/{n}.wav": sounds["wav"] for n in range(4)}
    files |= {f"fake/en/sys {s}/{n}.wav": sounds["wav"] for s in range(2) for n in range(4)}
    files["fake/en/sys 0/meta.csv"] = b"path|original_file|language\n" + b"".join(
        b"./fake/en/sys 0/%d.wav|a/%d.wav|en\n" % (n, n) for n in range(4)
    )
    fake.repositories["mueller91/MLAAD-tiny"] = files
    trials = mlaad_tiny.fetch(tmp_path, told)
    assert len(trials) == 12
    assert {t.source_utterance for t in trials} == {f"en/{n}" for n in range(4)}
    assert {t.system for t in trials} == {"", "sys 0", "sys 1"}


def test_a_hub_without_the_files_is_one_line(fake, tmp_path, told):
    with pytest.raises(CorpusError, match=r"mueller91/MLAAD is gated|cannot be fetched"):
        hub.fetch("mueller91/MLAAD", ["fake/*"], tmp_path, told)
    fake.repositories["a/b"] = {"README.md": b"hello"}
    with pytest.raises(CorpusError, match=r"a/b has no file that matches \*.parquet"):
        hub.fetch("a/b", ["*.parquet"], tmp_path, told)
