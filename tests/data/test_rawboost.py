"""RawBoost does what its paper says, over the ranges that were published, and keeps every sample in its place."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from ringtrue.data.augment import ALGORITHMS, RawBoost, rawboost
from ringtrue.data.augment.rawboost import _notch
from ringtrue.errors import ConfigError

RATE_HZ = 16_000


def noise(seed, count=32_000, scale=0.1):
    return (scale * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


def boost(samples, algorithm, seed=0, **ranges):
    return rawboost(samples, algorithm, np.random.default_rng(seed), replace(RawBoost(), **ranges))


def db(power):
    return 10 * np.log10(power)


def test_defaults_are_the_published_ranges():
    """As arXiv 2111.04433 and its authors' scripts state them: nBands 5, minF 20, maxF 8000, minBW 100, maxBW 1000,
    minCoeff 10, maxCoeff 100, minG 0, maxG 0, minBiasLinNonLin 5, maxBiasLinNonLin 20, N_f 5, P 10 %, g_sd 2, SNRmin 10,
    SNRmax 40; eight algorithms and none."""
    assert asdict(RawBoost()) == {
        "notches": 5,
        "centre_range_hz": (20, 8_000),
        "width_range_hz": (100, 1_000),
        "taps_range": (10, 100),
        "gain_range_db": (0, 0),
        "bias_range_db": (5, 20),
        "orders": 5,
        "most_impulses": 0.1,
        "impulse_gain": 2,
        "snr_range_db": (10, 40),
    }
    assert list(ALGORITHMS) == list(range(9))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("count", [1, 7, 400, 16_001])
def test_every_algorithm_keeps_the_contract(algorithm, count):
    samples = noise(1, count)
    kept = samples.copy()
    result = boost(samples, algorithm)
    assert result.dtype == np.float32
    assert result.shape == samples.shape
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 1
    assert np.array_equal(result, boost(samples, algorithm))
    assert np.array_equal(samples, kept)
    assert boost(samples[:0], algorithm).shape == (0,)
    assert np.isfinite(boost(np.zeros(count, np.float32), algorithm)).all()
    if algorithm and count > 1_000:
        assert not np.array_equal(result, samples)
        assert not np.array_equal(result, boost(samples, algorithm, seed=1))


@pytest.mark.parametrize("algorithm", range(1, 9))
def test_nothing_moves(algorithm):
    """Filters are symmetric about the sample itself: the response to an impulse is as long before it as after."""
    samples = np.zeros(4_001, np.float32)
    samples[2_000] = 0.5
    for seed in range(20):
        response = boost(samples, algorithm, seed, snr_range_db=(120.0, 120.0), most_impulses=0.0)
        np.testing.assert_allclose(response, response[::-1], atol=1e-5)
        assert np.abs(response[1_400:2_601]).max() > 0.02


@pytest.mark.parametrize(
    ("count", "low_hz", "high_hz"), [(11, 100, 700), (99, 3_000, 3_500), (77, 7_000, 7_999.999)]
)
def test_a_notch_is_what_scipy_designs(count, low_hz, high_hz):
    from scipy.signal import firwin

    wanted = firwin(count, [low_hz, high_hz], window="hamming", fs=RATE_HZ)
    np.testing.assert_allclose(_notch(count, low_hz, high_hz), wanted, atol=1e-12)


def test_convolution_cuts_its_notch_and_only_that():
    cut = {
        "notches": 1,
        "centre_range_hz": (4_000, 4_000),
        "width_range_hz": (1_000, 1_000),
        "taps_range": (99, 100),
    }
    samples = noise(3, 160_000)
    before, after = (np.abs(np.fft.rfft(x)) ** 2 for x in (samples, boost(samples, 1, orders=1, **cut)))
    hz = np.fft.rfftfreq(160_000, 1 / RATE_HZ)
    assert db(after[np.abs(hz - 4_000) < 100].mean() / before[np.abs(hz - 4_000) < 100].mean()) < -20
    far = (np.abs(hz - 4_000) > 1_000) & (hz > 10)
    assert abs(db(after[far].mean() / before[far].mean())) < 0.3


def test_higher_orders_are_harmonics_at_their_bias():
    """A tone of amplitude a has a^2/2 at twice its frequency, lowered by the bias; without notches nothing else."""
    tone = (0.5 * np.cos(2 * np.pi * 1_000 * np.arange(16_000) / RATE_HZ)).astype(np.float32)
    result = boost(tone, 1, notches=0, orders=2, bias_range_db=(6.0206, 6.0206))
    amplitudes = 2 * np.abs(np.fft.rfft(result)) / 16_000
    assert amplitudes[1_000] == pytest.approx(0.5, abs=1e-4)
    assert amplitudes[2_000] == pytest.approx(0.5**2 / 2 / 2, abs=1e-4)
    assert amplitudes[3_000] < 1e-4


def test_impulses_hit_their_share_in_proportion_to_the_signal():
    samples = noise(4, 100_000)
    shares = []
    for seed in range(20):
        moved = boost(samples, 2, seed) / samples - 1
        hit = np.abs(moved) > 1e-6
        shares.append(hit.mean())
        assert np.abs(moved).max() <= 2 * (1 + 1e-5)
    assert min(shares) >= 0 and max(shares) <= 0.1
    assert 0.03 < np.mean(shares) < 0.07
    product = np.abs(moved[hit]) / 2  # of two even draws between -1 and 1: mean magnitude a quarter
    assert product.mean() == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("snr_db", [10.0, 25.0, 40.0])
def test_stationary_noise_has_its_ratio(snr_db):
    samples = noise(5)
    added = boost(samples, 3, snr_range_db=(snr_db, snr_db)).astype(np.float64) - samples
    assert db(np.sum(samples.astype(np.float64) ** 2) / np.sum(added**2)) == pytest.approx(snr_db, abs=0.02)


def test_series_and_parallel_are_made_of_the_three():
    samples = noise(6)
    quiet = {"orders": 1, "notches": 0}  # convolution does nothing, so what is left is known
    assert np.abs(boost(samples, 1, **quiet) - samples).max() < 1e-3  # the mean is removed
    for algorithm, hits, hisses in ((5, True, False), (6, False, True), (7, True, True), (4, True, True)):
        moved = np.abs(boost(samples, algorithm, seed=3, **quiet) - samples + samples.mean())
        share = np.mean(moved > 1e-3)
        assert (share > 0.001) == (hits or hisses), algorithm
        assert (np.median(moved) > 1e-4) == hisses, algorithm
    both = boost(0.3 * samples, 8, most_impulses=0.0, **quiet)
    np.testing.assert_allclose(both, 0.6 * samples - 0.3 * samples.mean(), atol=1e-5)


def test_unknown_algorithms_are_refused():
    with pytest.raises(ConfigError, match="RawBoost algorithm 9; accepted: 0 to 8"):
        rawboost(noise(0), 9, np.random.default_rng(0))
