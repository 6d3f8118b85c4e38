from collections import Counter

import numpy as np
import pytest

from ringtrue.data.batches import TrainingBatches, pieces_of
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError


def trial(index, **known):
    label = "spoof" if known.get("system") else "bonafide"
    return Trial(id=f"{index:04d}", audio="", label=label, split="train", **known)


def lopsided():
    """One speaker with 200 clips and one with 2; one system with 200 and one with 2."""
    rows = (
        [("p1", "cs", "")] * 200
        + [("p2", "en", "")] * 2
        + [("v1", "", "big")] * 200
        + [("v2", "", "small")] * 2
    )
    return [trial(i, speaker=s, language=lang, system=system) for i, (s, lang, system) in enumerate(rows)]


def load(trial):
    """A clip whose samples say where they lie: sample i of clip n is i / 100,000 (n sets the length)."""
    return (np.arange(8_000 + 977 * (int(trial.id) % 7)) / 100_000).astype(np.float32)


def make(trials=None, **changed):
    settings = {"batch_size": 8, "crop_s": 0.5, "seed": 3, **changed}
    return TrainingBatches(trials or lopsided(), pieces_of(load), **settings)


def same(left, right):
    return (
        left.ids == right.ids
        and np.array_equal(left.wave, right.wave)
        and np.array_equal(left.units, right.units)
    )


def test_a_batch_is_a_function_of_seed_and_number():
    batches, again, other = make(), make(), make(seed=4)
    assert same(batches[17], again[17])
    assert not same(batches[17], batches[18])
    assert not same(batches[17], other[17])
    assert [b.ids for b in batches.between(5, 8)] == [batches[n].ids for n in (5, 6, 7)]


def test_the_order_of_the_manifest_does_not_matter():
    trials = lopsided()
    assert same(make(trials)[2], make(trials[::-1])[2])


def test_labels_are_balanced_exactly_and_sources_evenly():
    drawn = Counter()
    by_id = {t.id: t for t in lopsided()}
    for number in range(100):
        batch = make()[number]
        assert batch.label.tolist().count(1) == 4
        assert [by_id[i].is_bonafide for i in batch.ids] == (batch.label == 1).tolist()
        drawn.update(by_id[i].speaker for i in batch.ids)
    for speaker in ("p1", "p2", "v1", "v2"):  # 200 draws each expected, standard deviation 10
        assert 150 < drawn[speaker] < 250


def test_crops_are_pieces_of_the_clip_and_reach_both_ends():
    starts = set()
    for number in range(300):
        for wave, name in zip(make()[number].wave, make()[number].ids, strict=True):
            whole = load(trial(int(name)))
            start = round(float(wave[0]) * 100_000)
            assert np.array_equal(wave, whole[start : start + 8_000])
            assert start % 320 == 0
            starts.add((len(whole), start))
    longest = max(length for length, _ in starts)
    offsets = sorted(start for length, start in starts if length == longest)
    assert offsets[0] == 0
    assert offsets[-1] == (longest - 8_000) // 320 * 320


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_clip_of_exactly_the_crops_length_is_no_special_case(extra):
    clips = [trial(0, speaker="p"), trial(1, speaker="v", system="s")]
    batches = TrainingBatches(clips, pieces_of(lambda t: np.ones(8_000 + extra, np.float32)), 2, 0.5, 0)
    assert batches[0].wave.shape == (2, 8_000)


def test_units_stay_aligned_with_their_samples():
    """Unit i of a clip belongs to sample 320 i: wherever the crop falls, so it must in the batch."""
    trials = lopsided()
    units = {t.id: np.arange((len(load(t)) - 400) // 320 + 1, dtype=np.int16) for t in trials}
    for number in range(50):
        batch = make(trials, units=units)[number]
        first_sample = np.round(batch.wave[:, 0] * 100_000).astype(int)
        assert np.array_equal(batch.units[:, 0], first_sample // 320)
        assert (np.diff(batch.units, axis=1) == 1).all()


def test_a_repeated_clip_has_no_units_beyond_its_own():
    clips = [trial(0, speaker="p"), trial(1, speaker="v", system="s")]
    units = {t.id: np.arange(24, dtype=np.int16) for t in clips}
    batch = TrainingBatches(clips, pieces_of(load), 2, 1.0, 0, units)[0]
    assert batch.wave.shape == (2, 16_000)
    assert np.array_equal(batch.wave[0, :8_000], batch.wave[0, 8_000:])
    assert (batch.units[0, :24] == np.arange(24)).all()
    assert (batch.units[0, 24:] == -1).all()


def test_every_crop_is_augmented_alike_with_draws_of_its_own():
    draws = []

    def augment(wave, rng):
        draws.append(float(rng.random()))
        return -wave

    batch = make(augment=augment)[0]
    assert len(set(draws)) == 8
    for wave, name in zip(batch.wave, batch.ids, strict=True):
        start = round(float(-wave[0]) * 100_000)
        assert np.array_equal(-wave, load(trial(int(name)))[start : start + 8_000])


def test_one_label_alone_is_refused():
    with pytest.raises(CorpusError, match="202 bona fide and 0 spoof"):
        make([t for t in lopsided() if t.is_bonafide])


def with_copies():
    """Eight people, a copy of each by one of two systems, and synthesisers that copy nobody."""
    people = [trial(i, speaker=f"p{i}", source_utterance=f"u{i}") for i in range(8)]
    # both ways of naming an original: by its utterance, and by its trial
    copies = [
        trial(
            10 + i, speaker=f"p{i}", system=f"copy{i % 2}", source_utterance=f"u{i}" if i < 4 else f"{i:04d}"
        )
        for i in range(8)
    ]
    return people + copies + [trial(30 + i, speaker="v", system="tts") for i in range(4)]


def test_twins_come_first_cropped_and_augmented_alike():
    trials = with_copies()
    by_id = {t.id: t for t in trials}
    draws = {}

    def augment(wave, rng):
        draws.setdefault(float(wave[0]), []).append(float(rng.random()))
        return wave

    seen = set()
    for number in range(60):
        draws.clear()
        batch = make(trials, pairs=0.5, augment=augment)[number]
        assert batch.twins == 2
        for couple in range(batch.twins):
            human, copy = (by_id[name] for name in batch.ids[2 * couple : 2 * couple + 2])
            assert human.is_bonafide
            assert copy.source_utterance in (human.source_utterance, human.id)
            seen.add(copy.system)
            if len(load(human)) == len(load(copy)):
                assert batch.starts[2 * couple] == batch.starts[2 * couple + 1]
        assert batch.label.tolist() == [1, 0] * 4
    assert seen == {"copy0", "copy1"}  # what copies nobody is never a twin


def test_twins_hear_one_draw_and_others_their_own():
    drawn = []

    def augment(wave, rng):
        drawn.append(float(rng.random()))
        return wave

    batch = make(with_copies(), pairs=0.5, augment=augment)[3]
    assert drawn[0] == drawn[1]
    assert drawn[2] == drawn[3]
    assert len(set(drawn)) == len(batch.ids) - batch.twins


def test_pairs_without_copies_are_refused():
    with pytest.raises(CorpusError, match="no spoof training trial names the bona fide one"):
        make(pairs=0.5)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_a_batch_without_overlap_or_loss(world):
    trials = with_copies()
    whole = make(trials, pairs=0.5)[7]
    parts = [make(trials, pairs=0.5, rank=rank, ranks=world)[7] for rank in range(world)]
    assert sum((part.ids for part in parts), ()) == whole.ids
    assert np.array_equal(np.concatenate([part.wave for part in parts]), whole.wave)
    assert np.array_equal(np.concatenate([part.starts for part in parts]), whole.starts)
    assert sum(part.twins for part in parts) == whole.twins
    assert all(part.label.tolist() == [1, 0] * (4 // world) for part in parts)
