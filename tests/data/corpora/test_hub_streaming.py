"""The seeds' interleave: MLAAD's fakes and LibriSpeech's readers, heard from the hub without a copy on disk."""

import numpy as np
import pytest

from ringtrue.data.corpora import load_corpus, load_samples
from ringtrue.data.streaming import StreamingBatches
from ringtrue.errors import AudioError, CorpusError

pytest.importorskip("huggingface_hub")
pytest.importorskip("pyarrow")
SOURCE = "mlaad-hub?stream=yes+librispeech-hub?subsets=train-clean-100,dev-clean,test-clean&stream=yes"


@pytest.fixture
def seeds(fake, sounds, parquet_file, monkeypatch, tmp_path):
    """Both repositories: gated MLAAD, one system of it without a table; LibriSpeech in three splits."""
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_made_up_for_this_test")
    files = {"README.md": b"hello"}
    for number in range(8):
        folder = f"fake/en/sys {number} (v1, 2025)"
        rows = ["path|original_file|language|model_name"]
        for clip in range(6):
            files[f"{folder}/{clip}.wav"] = sounds["wav"]
            rows.append(f"./{folder}/{clip}.wav|en_US/by_book/x/y/z/wavs/{number}-{clip}.wav|en|sys/{number}")
        if number:
            files[f"{folder}/meta.csv"] = "\n".join(rows).encode()
    fake.repositories["mueller91/MLAAD"] = files
    fake.gated.add("mueller91/MLAAD")
    libri = {}
    for split, shards, reader in (("train.100", 3, 10), ("validation", 1, 20), ("test", 1, 30)):
        for shard in range(shards):
            ids = [f"{reader + shard}-1-{row}" for row in range(5)]
            columns = {"id": ids, "text": ["WORDS"] * 5, "speaker_id": [reader + shard] * 5}
            path = parquet_file(f"{split}-{shard}.parquet", columns)
            libri[f"clean/{split}-{shard:05d}-of-{shards:05d}.parquet"] = path.read_bytes()
    fake.repositories["openslr/librispeech_asr"] = libri
    return fake


def sound_bytes(fake):
    return [path for method, path in fake.asked if method == "GET" and path.endswith(".wav")]


def test_listing_fetches_no_sound(seeds, told):
    trials = load_corpus(SOURCE, told)
    assert sound_bytes(seeds) == []
    mlaad = [t for t in trials if t.corpus == "mlaad"]
    assert all(t.audio.startswith("hf://datasets/mueller91/MLAAD@0123456789abcdef") for t in mlaad)
    assert {t.system for t in mlaad} > {"sys/1"}
    train = [t for t in trials if t.split == "train"]
    dev = [t for t in trials if t.split == "dev"]
    assert {t.label for t in train} == {t.label for t in dev} == {"bonafide", "spoof"}
    assert not {t.system for t in train} & {t.system for t in dev} - {""}  # generators of dev are unseen
    assert {t.id for t in load_corpus(SOURCE, told)} == {t.id for t in trials}


def test_the_seeds_interleave_from_the_hub(seeds, told):
    train = [t for t in load_corpus(SOURCE, told) if t.split == "train"]
    batches = StreamingBatches(train, batch_size=4, crop_s=0.2, seed=0, reach=4)
    whole = list(batches.between(0, 12))
    human = [name for batch in whole for name in batch.ids if name.startswith("librispeech/")]
    assert [batch.label.tolist() for batch in whole] == [[1, 0, 1, 0]] * 12
    assert len(set(human[:15])) == 15 == sum(t.is_bonafide for t in train)
    assert not any(batch.faults for batch in whole)
    again = StreamingBatches(train, batch_size=4, crop_s=0.2, seed=0, reach=4)
    for number in (5, 6, 7):
        assert np.array_equal(again[number].wave, whole[number].wave)
    assert len(sound_bytes(seeds)) > 0


def test_a_busy_hub_costs_a_wait_and_nothing_else(seeds, told, monkeypatch):
    trials = [t for t in load_corpus(SOURCE, told) if t.corpus == "mlaad"]
    waits = []
    monkeypatch.setattr("ringtrue.data.corpora.remote.time.sleep", waits.append)
    seeds.busy = 2
    assert len(load_samples(trials[0])) == 3_200
    assert waits == [5.0, 20.0]


@pytest.mark.parametrize("fault", ["silent", "cut"])
def test_half_an_answer_or_none_is_asked_for_again(seeds, told, monkeypatch, fault):
    trial = next(t for t in load_corpus(SOURCE, told) if t.corpus == "mlaad")
    waits = []
    monkeypatch.setattr("ringtrue.data.corpora.remote.time.sleep", waits.append)
    monkeypatch.setattr("ringtrue.data.corpora.remote._PATIENCE_S", 0.2)
    setattr(seeds, fault, 1)
    assert len(load_samples(trial)) == 3_200
    assert (
        waits[-1:] == [5.0] and waits.count(5.0) == 1
    )  # before it the hub's library may have waits of its own


def test_a_recording_larger_than_may_be_held_is_refused_at_once(seeds, told, monkeypatch):
    trial = next(t for t in load_corpus(SOURCE, told) if t.corpus == "mlaad")
    monkeypatch.setattr("ringtrue.data.corpora.remote.time.sleep", lambda seconds: pytest.fail("waited"))
    monkeypatch.setattr("ringtrue.data.corpora.store.MAX_HELD_BYTES", 1_000)
    with pytest.raises(AudioError, match=r"hf://datasets/mueller91/MLAAD@.*the most that is fetched"):
        load_samples(trial)


def test_what_the_hub_lost_is_one_fault(seeds, told):
    train = [t for t in load_corpus(SOURCE, told) if t.split == "train"]
    gone = next(t for t in train if t.corpus == "mlaad")
    del seeds.repositories["mueller91/MLAAD"][gone.audio.partition("/fake/")[2].join(["fake/", ""])]
    with pytest.raises(AudioError, match="cannot be fetched"):
        load_samples(gone)
    batches = StreamingBatches(train, batch_size=4, crop_s=0.2, seed=0)
    faults = [fault for batch in batches.between(0, 30) for fault in batch.faults]
    assert faults
    assert all(gone.id in fault for fault in faults)


def test_stream_is_yes_or_no(seeds, told):
    with pytest.raises(CorpusError, match=r"\?stream=1; accepted: yes or no"):
        load_corpus("mlaad-hub?stream=1", told)
