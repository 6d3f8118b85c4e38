"""Transforms do what their names say, keep length and alignment, and replay from their generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from ringtrue.data.augment import (
    CODECS,
    TRANSFORMS,
    Augment,
    add_noise,
    augment,
    band_limit,
    codec_round_trip,
    quantise,
    set_level,
)
from ringtrue.errors import ConfigError

RATE_HZ = 16_000
Samples = NDArray[np.float32]
Speechlike = Callable[..., Samples]

ALWAYS = Augment(noise_probability=1, band_probability=1, level_probability=1, quantise_probability=1)
NEVER = Augment(noise_probability=0, band_probability=0, level_probability=0, quantise_probability=0)


def rms_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))


def lag_of(copy: Samples, original: Samples) -> int:
    size = 2 * len(original)
    correlation = np.fft.irfft(np.fft.rfft(copy, size) * np.conj(np.fft.rfft(original, size)))
    peak = int(np.argmax(correlation))
    return peak - size if peak > len(original) else peak


def noise(seed: int, count: int = 32_000) -> Samples:
    return (0.1 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


# --- codecs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_keep_length_place_and_sound(codec: str, speechlike: Speechlike) -> None:
    speech = speechlike(2.0, seed=3)
    kept = speech.copy()
    coded = codec_round_trip(speech, codec)
    assert coded.dtype == np.float32 and coded.shape == speech.shape and np.abs(coded).max() <= 1
    assert abs(lag_of(coded, speech)) <= 2
    assert np.corrcoef(coded, speech)[0, 1] > (0.8 if codec == "amr_nb" else 0.95)
    assert rms_db(coded) == pytest.approx(rms_db(speech), abs=1.0)
    assert np.abs(coded - speech).max() > 1e-4, "a codec that changes nothing was not run"
    np.testing.assert_array_equal(speech, kept)
    np.testing.assert_array_equal(codec_round_trip(speech, codec), coded)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("count", [0, 1, 7, 399, 16_001])
def test_codecs_take_any_length(codec: str, count: int, speechlike: Speechlike) -> None:
    coded = codec_round_trip(speechlike(1.1)[:count], codec)
    assert coded.shape == (count,) and np.isfinite(coded).all()


@pytest.mark.parametrize("codec", [name for name, row in CODECS.items() if row.rate_hz == 8_000])
def test_telephone_codecs_end_at_4_kHz(codec: str) -> None:
    spectrum = np.abs(np.fft.rfft(codec_round_trip(noise(0), codec) * np.hanning(32_000)))
    hz = np.fft.rfftfreq(32_000, 1 / RATE_HZ)
    above, below = np.mean(spectrum[hz > 4_300] ** 2), np.mean(spectrum[(hz > 500) & (hz < 3_000)] ** 2)
    assert 10 * np.log10(above / below) < -60


@pytest.mark.parametrize("codec", [name for name, row in CODECS.items() if row.kbps])
def test_more_bits_sound_closer(codec: str, speechlike: Speechlike) -> None:
    speech = speechlike(2.0, seed=4)
    low, high = CODECS[codec].kbps_range
    closeness = [np.corrcoef(codec_round_trip(speech, codec, kbps), speech)[0, 1] for kbps in (low, high)]
    assert closeness[1] > closeness[0] + 0.001


def test_mulaw_has_its_256_steps() -> None:
    """At most 8 bits of different values at 8 kHz, against the standard's largest relative step of 1/16."""
    ramp = np.linspace(-0.9, 0.9, 64_000, dtype=np.float32)
    coded = codec_round_trip(ramp, "mulaw")[2_000:-2_000]
    relative = np.abs(coded - ramp[2_000:-2_000]) / np.maximum(np.abs(ramp[2_000:-2_000]), 0.01)
    assert relative.max() < 1 / 16


def test_unknown_codecs_and_bit_rates_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown codec 'mp4'; accepted: mp3, aac"):
        codec_round_trip(noise(0), "mp4")
    with pytest.raises(ConfigError, match="8 to 160"):
        codec_round_trip(noise(0), "mp3", 320)
    with pytest.raises(ConfigError, match="just one"):
        codec_round_trip(noise(0), "mulaw", 64)


# --- band, level, noise, silence ----------------------------------------------------------------------------


@pytest.mark.parametrize("band_hz", [(300, 3_400), (0, 4_000), (100, 8_000), (50, 7_950), (1_000, 1_100)])
def test_band_limit_against_its_own_spectrum(band_hz: tuple[float, float]) -> None:
    """An impulse shows the whole response: flat inside, gone outside, half way at the edges, no delay."""
    impulse = np.zeros(4_001, np.float32)
    impulse[2_000] = 0.5
    response = band_limit(impulse, *band_hz)
    gain_db = 20 * np.log10(2 * np.abs(np.fft.rfft(response, 32_000)) + 1e-9)
    hz = np.fft.rfftfreq(32_000, 1 / RATE_HZ)
    low_hz, high_hz = band_hz
    inside = (hz > low_hz + (50 if low_hz else -1)) & (hz < high_hz - (50 if high_hz < 8_000 else -1))
    outside = (hz < low_hz - 50) | (hz > high_hz + 50)
    assert not inside.any() or np.abs(gain_db[inside]).max() < 0.1
    assert not outside.any() or gain_db[outside].max() < -70
    for edge_hz in band_hz:
        if 0 < edge_hz < 8_000:
            assert gain_db[round(2 * edge_hz)] == pytest.approx(-6, abs=0.6)
    np.testing.assert_allclose(response, response[::-1], atol=1e-6)  # linear phase, centred where it was


def test_the_whole_band_is_left_alone(speechlike: Speechlike) -> None:
    np.testing.assert_allclose(band_limit(speechlike(0.5), 0, 8_000), speechlike(0.5), atol=1e-6)


@pytest.mark.parametrize(
    "band_hz", [(20, 4_000), (300, 350), (4_000, 300), (0, 7_990), (-100, 4_000), (0, 9_000)]
)
def test_bands_that_cannot_be_are_refused(band_hz: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="a band from"):
        band_limit(noise(0), *band_hz)


def test_set_level_is_exact_and_never_clips(speechlike: Speechlike) -> None:
    speech = speechlike(1.0)
    for level_db in (-60.0, -26.0, -20.0):
        assert rms_db(set_level(speech, level_db)) == pytest.approx(level_db, abs=1e-3)
    loud = set_level(speech, 0.0)
    assert np.abs(loud).max() == pytest.approx(1.0) and rms_db(loud) < 0
    np.testing.assert_allclose(loud / np.abs(loud).max(), speech / np.abs(speech).max(), atol=1e-6)
    assert not set_level(np.zeros(9, np.float32), -20).any()


@pytest.mark.parametrize(("colour", "slope_db"), [("white", 0.0), ("pink", -3.01), ("brown", -6.02)])
@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_has_its_ratio_and_its_colour(colour: str, slope_db: float, snr_db: float) -> None:
    tone = (0.1 * np.sin(2 * np.pi * 50 * np.arange(160_000) / RATE_HZ)).astype(np.float32)
    added = add_noise(tone, snr_db, np.random.default_rng(0), colour) - tone
    assert rms_db(tone) - rms_db(added) == pytest.approx(snr_db, abs=0.01)
    power, hz = np.abs(np.fft.rfft(added)) ** 2, np.fft.rfftfreq(160_000, 1 / RATE_HZ)
    octaves_db = [
        10 * np.log10(np.mean(power[(hz >= low_hz) & (hz < 2 * low_hz)]))
        for low_hz in (200, 400, 800, 1_600, 3_200)
    ]
    np.testing.assert_allclose(np.diff(octaves_db), slope_db, atol=0.6)


def test_noise_beyond_full_scale_lowers_the_whole() -> None:
    loud = np.sign(noise(1))
    noisy = add_noise(loud, 0.0, np.random.default_rng(0))
    assert np.abs(noisy).max() == pytest.approx(1.0)
    assert not add_noise(np.zeros(9, np.float32), 0.0, np.random.default_rng(0)).any()
    with pytest.raises(ConfigError, match="white, pink, brown"):
        add_noise(loud, 0.0, np.random.default_rng(0), "blue")


def test_quantise_error_halves_with_each_bit(speechlike: Speechlike) -> None:
    speech = speechlike(1.0)
    errors_db = [rms_db(quantise(speech, bits) - speech) for bits in (6, 7, 8, 9, 10)]
    np.testing.assert_allclose(np.diff(errors_db), -6.02, atol=0.5)
    assert len(np.unique(quantise(speech, 4))) <= 15  # 2 signs x 7 steps, and zero
    extremes = np.array([-1, 0, 1], np.float32)
    np.testing.assert_array_equal(quantise(extremes, 8), extremes)


# --- the policy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 100, 16_000, 48_123])
def test_augment_keeps_contract_for_any_length(count: int) -> None:
    samples = noise(2, count)
    kept = samples.copy()
    for seed in range(20):
        result = augment(samples, np.random.default_rng(seed), ALWAYS)
        assert result.dtype == np.float32 and result.shape == samples.shape
        assert np.isfinite(result).all() and np.abs(result).max() <= 1
    np.testing.assert_array_equal(samples, kept)


def test_augment_keeps_every_sample_in_its_place(speechlike: Speechlike) -> None:
    speech = speechlike(2.0, seed=5)
    for seed in range(10):
        assert lag_of(augment(speech, np.random.default_rng(seed), ALWAYS), speech) == 0


def test_augment_replays_from_its_generator(speechlike: Speechlike) -> None:
    speech = speechlike(1.0)
    results = [augment(speech, np.random.default_rng(seed)) for seed in (*range(12), *range(12))]
    for first, second in zip(results[:12], results[12:], strict=True):
        np.testing.assert_array_equal(first, second)
    assert len({result.tobytes() for result in results}) > 6


def test_probabilities_are_kept(speechlike: Speechlike) -> None:
    speech = speechlike(0.1)
    np.testing.assert_array_equal(augment(speech, np.random.default_rng(0), NEVER), speech)
    rng = np.random.default_rng(0)
    half = Augment(noise_probability=0, band_probability=0, level_probability=0.5, quantise_probability=0)
    changed = sum(not np.array_equal(augment(speech, rng, half), speech) for _ in range(400))
    assert 160 < changed < 240  # 4 standard deviations


def test_every_row_has_its_probability() -> None:
    names = {field.name for field in fields(Augment)}
    assert {f"{name}_probability" for name in TRANSFORMS} == {name for name in names if "probability" in name}
