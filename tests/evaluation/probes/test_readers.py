import numpy as np
import pytest

from ringtrue.evaluation.probes.readers import KINDS, UNKNOWN, halves, ratio_interval, read


def clips(rng, leak, count=40, frames=30, classes=5):
    """Frames of 8 dimensions in which the class of every frame is written with strength `leak`."""
    code = rng.normal(size=(classes, 8))
    targets = [rng.integers(classes, size=frames) for _ in range(count)]
    features = [
        (rng.normal(size=(8, frames)) + leak * code[target].T).astype(np.float32) for target in targets
    ]
    return features, targets


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_planted_code_is_read_and_noise_is_not(kind):
    rng = np.random.default_rng(0)
    speakers = [f"s{place % 8}" for place in range(40)]
    features, targets = clips(rng, leak=3.0)
    found = read(features, targets, speakers, speakers, kind, seed=0)
    assert found.accuracy > 0.9
    assert found.bits > 1.8  # of log2(5) = 2.32
    assert found.macro_f1 > 0.9
    assert found.low < found.accuracy < found.high
    placebo = [targets[place - 1] for place in range(40)]  # another clip's units
    nothing = read(features, placebo, speakers, speakers, kind, seed=0)
    assert abs(nothing.accuracy - 0.2) < 0.05
    assert nothing.bits < 0.05
    assert (nothing.classes, nothing.judged) == (5, 1200)


def test_context_is_read_by_the_recurrent_probe_alone():
    rng = np.random.default_rng(0)
    bits = [rng.integers(2, size=40) for _ in range(24)]
    features = [np.stack([b, rng.normal(size=40)]).astype(np.float32) for b in bits]
    targets = [
        np.concatenate([[UNKNOWN], b[:-1] ^ b[1:]]) for b in bits
    ]  # xor of this frame and the one before
    speakers = [f"s{place % 8}" for place in range(24)]
    found = {
        kind: read(features, targets, speakers, speakers, kind, 0).accuracy for kind in ("mlp", "recurrent")
    }
    assert found["mlp"] < 0.6
    assert found["recurrent"] > 0.9


def test_unknown_frames_are_neither_learnt_nor_judged():
    features, targets = clips(np.random.default_rng(0), 3.0)
    for target in targets:
        target[10:] = UNKNOWN
    speakers = [f"s{place % 8}" for place in range(40)]
    assert read(features, targets, speakers, speakers, "linear", 0).judged == 400


def test_halves_share_no_group_and_are_even():
    groups = [f"g{place % 7}" for place in range(70)] + [""] * 10
    half = halves(groups, 0)
    assert all(len({half[place] for place in range(70) if groups[place] == g}) == 1 for g in set(groups[:70]))
    assert abs(half.mean() - 0.5) < 0.1
    assert half.tolist() == halves(groups, 0).tolist() != halves(groups, 1).tolist()


def test_one_group_or_one_class_cannot_be_judged():
    features, targets = clips(np.random.default_rng(0), 1.0, count=4)
    assert read(features, targets, ["same"] * 4, ["same"] * 4, "linear", 0) is None
    assert read(features, [t * 0 for t in targets], list("abcd"), list("abcd"), "linear", 0) is None


def test_intervals_know_that_clips_of_a_speaker_go_together():
    top = np.repeat([1.0, 0.0, 1.0, 0.0], 50)
    together = ratio_interval(top, np.ones(200), np.repeat(list("abcd"), 50), np.random.default_rng(0))
    apart = ratio_interval(top, np.ones(200), [str(i) for i in range(200)], np.random.default_rng(0))
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])
