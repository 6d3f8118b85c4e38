"""The feature cache: what is found again, what is not, and what a fault may cost."""

import dataclasses
import multiprocessing
import os

import numpy as np
import pytest

from ringtrue.errors import CheckpointError, RingtrueError
from ringtrue.models.feature_cache import FeatureCache, audio_key, cached_features
from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.frontends import LOG_MEL, load_choice


def features(seed):
    return np.random.default_rng(seed).standard_normal((1, 7, 5)).astype(np.float32)


def filled(root, count=10, start=0, **more):
    cache = FeatureCache({"maker": 1}, root, **more)
    with cache:
        for seed in range(start, start + count):
            cache.put(f"clip{seed}", features(seed))
    return cache


def shards(root):
    return sorted(root.rglob("*.safetensors"))


def test_what_was_put_is_found_by_another_reader(tmp_path):
    filled(tmp_path)
    cache = FeatureCache({"maker": 1}, tmp_path)
    for seed in range(10):
        found = cache.get(f"clip{seed}")
        assert found.dtype == np.float16
        assert found == pytest.approx(features(seed), abs=2e-3)
    assert cache.get("clip10") is None
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_a_sound_is_named_by_its_samples(speechlike):
    wave = speechlike(0.1)
    assert audio_key(wave) == audio_key(wave.copy())
    louder = wave.copy()
    louder[-1] += 1e-6
    assert audio_key(wave) != audio_key(louder) != audio_key(wave[:-1])


def test_another_maker_has_another_folder(tmp_path):
    filled(tmp_path)
    assert FeatureCache({"maker": 2}, tmp_path).get("clip0") is None
    front_end, choice = load_choice(FrontEndChoice(LOG_MEL, layer=0))
    made = [
        dataclasses.replace(choice, **change).made_by(front_end)
        for change in ({}, {"pool": 2}, {"layer": "all"}, {"name": LOG_MEL})
    ]
    assert made[0] == made[3]
    assert len({str(one) for one in made}) == 3


class Counting:
    """A choice that counts how many clips were heard."""

    def __init__(self, choice):
        self.choice, self.heard = choice, 0

    def features(self, front_end, wave):
        self.heard += len(wave)
        return self.choice.features(front_end, wave)


def test_a_clip_is_heard_once(tmp_path, speechlike):
    front_end, choice = load_choice(FrontEndChoice(LOG_MEL, layer=0))
    waves = [speechlike(duration, seed) for seed, duration in enumerate([0.5, 0.7, 0.5, 0.6])]
    counting = Counting(choice)
    with FeatureCache(choice.made_by(front_end), tmp_path) as cache:
        first = list(cached_features(waves, counting, front_end, cache))
    cache = FeatureCache(choice.made_by(front_end), tmp_path)
    second = list(cached_features([*waves[::-1], speechlike(0.5, 9)], counting, front_end, cache))
    assert counting.heard == 5
    import torch

    for one, two, wave in zip(first, second[3::-1], waves, strict=True):
        assert np.array_equal(one, two)
        alone = choice.features(front_end, torch.from_numpy(wave)[None])[0].numpy()
        assert one == pytest.approx(alone, abs=2e-2)


def test_a_kill_costs_one_shard_at_most(tmp_path):
    cache = FeatureCache({"maker": 1}, tmp_path)  # never left, never flushed
    for seed in range(100):
        cache.put(f"clip{seed}", features(seed))
    found = FeatureCache({"maker": 1}, tmp_path)
    assert sum(found.get(f"clip{seed}") is not None for seed in range(100)) == 64


def test_what_was_made_before_an_error_is_kept(tmp_path):
    cache = FeatureCache({"maker": 1}, tmp_path)
    with pytest.raises(ZeroDivisionError), cache:
        cache.put("clip0", features(0))
        raise ZeroDivisionError
    assert FeatureCache({"maker": 1}, tmp_path).get("clip0") is not None


def _write(root, start):
    filled(root, 150, start)


def test_two_writers_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path, start)) for start in (0, 100)]
    reader = FeatureCache({"maker": 1}, tmp_path)
    assert reader.get("clip0") is None
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    for seed in range(250):
        assert reader.get(f"clip{seed}") == pytest.approx(features(seed), abs=2e-3)


@pytest.mark.parametrize(
    "damage", [lambda blob: blob[:-100], lambda blob: b"", lambda blob: b"\xff" * len(blob)]
)
def test_a_broken_shard_costs_only_itself(tmp_path, damage):
    filled(tmp_path, 4)
    filled(tmp_path, 4, start=4)
    broken = shards(tmp_path)[0]
    broken.write_bytes(damage(broken.read_bytes()))
    told = []
    cache = FeatureCache({"maker": 1}, tmp_path, progress=told.append)
    assert sum(cache.get(f"clip{seed}") is not None for seed in range(8)) == 4
    assert len(told) == 1
    assert broken.name in told[0]
    assert "computed again, all others are kept" in told[0]
    filled(tmp_path, 8)
    assert FeatureCache({"maker": 1}, tmp_path).get("clip0") is not None


def test_a_flipped_bit_costs_only_its_clip(tmp_path):
    filled(tmp_path, 4)
    (path,) = shards(tmp_path)
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 0x40
    path.write_bytes(blob)
    told = []
    cache = FeatureCache({"maker": 1}, tmp_path, progress=told.append)
    found = [cache.get(f"clip{seed}") for seed in range(4)]
    assert sum(one is None for one in found) == 1
    assert len(told) == 1
    assert not path.exists()
    again = FeatureCache({"maker": 1}, tmp_path)
    assert sum(again.get(f"clip{seed}") is not None for seed in range(4)) == 3


def test_old_shards_of_others_give_way(tmp_path):
    size = sum(path.stat().st_size for path in filled(tmp_path, 10).folder.glob("*.safetensors"))
    old = shards(tmp_path)[0]
    os.utime(old, (1, 1))
    other = FeatureCache({"maker": 2}, tmp_path, limit_bytes=int(1.5 * size))
    for seed in range(10):
        other.put(f"clip{seed}", features(seed))
    other.flush()
    assert not old.exists()
    assert FeatureCache({"maker": 2}, tmp_path).get("clip3") is not None


def test_a_full_cache_says_so_and_keeps_what_it_has(tmp_path):
    told = []
    cache = FeatureCache({"maker": 1}, tmp_path, limit_bytes=20_000, progress=told.append)
    for seed in range(400):
        cache.put(f"clip{seed}", features(seed))
    assert len(told) == 1
    assert "RINGTRUE_FEATURES_GIB" in told[0]
    assert sum(path.stat().st_size for path in shards(tmp_path)) <= 20_000
    assert cache.get("clip0") is not None
    assert cache.get("clip399") is None or len(shards(tmp_path)) > 0


def test_the_limit_is_a_number(tmp_path, monkeypatch):
    monkeypatch.setenv("RINGTRUE_FEATURES_GIB", "lots")
    with pytest.raises(RingtrueError, match="positive number of GiB"):
        FeatureCache({"maker": 1}, tmp_path)


def test_features_that_are_no_numbers_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not finite"):
        FeatureCache({"maker": 1}, tmp_path).put("clip", np.array([np.nan]))
    cache = FeatureCache({"maker": 1}, tmp_path)
    cache.put("clip", np.array([1e9, -1e9]))  # beyond float16
    assert cache.get("clip").tolist() == [65504.0, -65504.0]
