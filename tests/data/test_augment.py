"""Transforms do what their names say, keep length and alignment, and replay from their generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ringtrue.data.augment import (
    CODECS,
    POLICIES,
    QUALITIES,
    TRANSFORMS,
    Augment,
    add_noise,
    add_room,
    augment,
    augmentation,
    available_codecs,
    band_limit,
    clip,
    codec_round_trip,
    limit,
    lose_packets,
    mask_band,
    mask_time,
    quantise,
    resample_round_trip,
    room_response,
    set_level,
)
from ringtrue.errors import ConfigError

RATE_HZ = 16_000
Samples = NDArray[np.float32]
Speechlike = Callable[..., Samples]

NEVER = replace(Augment(), **{f"{name}_probability": 0 for name in TRANSFORMS})
ALWAYS = replace(NEVER, noise_probability=1, band_probability=1, level_probability=1, quantise_probability=1)


def only(name: str) -> Augment:
    return replace(NEVER, **{f"{name}_probability": 1})


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


THERE = available_codecs()
GOLDEN = [833.77, 1968.33, 1111.66, 260.65, 1288.75, 1288.65]  # sums of magnitudes


@pytest.mark.parametrize("codec", THERE)
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


@pytest.mark.parametrize("codec", THERE)
@pytest.mark.parametrize("count", [0, 1, 7, 399, 16_001])
def test_codecs_take_any_length(codec: str, count: int, speechlike: Speechlike) -> None:
    coded = codec_round_trip(speechlike(1.1)[:count], codec)
    assert coded.shape == (count,) and np.isfinite(coded).all()


@pytest.mark.parametrize("codec", [name for name in THERE if CODECS[name].rate_hz == 8_000])
def test_telephone_codecs_end_at_4_kHz(codec: str) -> None:
    spectrum = np.abs(np.fft.rfft(codec_round_trip(noise(0), codec) * np.hanning(32_000)))
    hz = np.fft.rfftfreq(32_000, 1 / RATE_HZ)
    above, below = np.mean(spectrum[hz > 4_300] ** 2), np.mean(spectrum[(hz > 500) & (hz < 3_000)] ** 2)
    assert 10 * np.log10(above / below) < -60


@pytest.mark.parametrize("codec", [name for name in THERE if CODECS[name].kbps])
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


def test_what_the_installed_libraries_lack_is_named_and_never_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        {"mp3", "aac", "opus", "vorbis", "g722", "mulaw", "alaw", "gsm", "amr_nb"}
        <= set(THERE)
        <= set(CODECS)
    )
    if "amr_wb" not in THERE:
        with pytest.raises(
            ConfigError, match="amr_wb needs the encoder libvo_amrwbenc, which the installed PyAV lacks"
        ):
            codec_round_trip(noise(0), "amr_wb")
    drawn = []
    monkeypatch.setattr(
        "ringtrue.data.augment.policy.codec_round_trip",
        lambda samples, codec, kbps: drawn.append(codec) or samples,
    )
    rng = np.random.default_rng(0)
    for _ in range(200):
        augment(noise(0, 9), rng, only("codec"))
    assert set(drawn) == set(THERE)


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


# --- clipping, limiting, resampling, masks, rooms, packets ------------------------------------------------------


def test_clipping_loses_what_it_says(speechlike: Speechlike) -> None:
    speech = speechlike(1.0)
    clipped = clip(speech, 6.0)
    peak = np.abs(speech).max()
    assert np.abs(clipped).max() == pytest.approx(peak)
    soft = np.abs(speech) < peak * 10 ** (-6.1 / 20)
    np.testing.assert_allclose(clipped[soft], speech[soft] * 10 ** (6 / 20), rtol=1e-5)
    assert np.mean(np.abs(clipped) > 0.999 * peak) > np.mean(np.abs(speech) > 0.999 * peak)


def test_a_limiter_holds_its_threshold_and_leaves_the_rest_alone() -> None:
    quiet = (0.05 * np.sin(2 * np.pi * 200 * np.arange(16_000) / RATE_HZ)).astype(np.float32)
    burst = quiet.copy()
    burst[8_000:8_200] *= 16
    held = limit(burst, -20.0)
    assert np.abs(held).max() <= 0.1 + 1e-6
    np.testing.assert_allclose(held[:7_800], quiet[:7_800], atol=1e-7)
    np.testing.assert_allclose(held[8_400:], quiet[8_400:], atol=1e-7)
    steps = np.diff(
        held[7_900:8_300] / np.where(np.abs(burst[7_900:8_300]) > 1e-4, burst[7_900:8_300], np.nan)
    )
    assert np.nanmax(np.abs(steps)) < 0.1  # the gain moves, it does not jump


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 11_025, 22_050, 48_000])
def test_resampling_and_back_keeps_place_and_what_fits(rate_hz: int, quality: str) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 700 * np.arange(16_001) / RATE_HZ)).astype(np.float32)
    back = resample_round_trip(tone, rate_hz, quality)
    assert back.shape == tone.shape and back.dtype == np.float32
    assert abs(lag_of(back, tone)) <= 1
    assert np.corrcoef(back[500:-500], tone[500:-500])[0, 1] > 0.97
    if quality == "HQ" and rate_hz < RATE_HZ:
        hiss = resample_round_trip(noise(3), rate_hz)
        hz = np.fft.rfftfreq(len(hiss), 1 / RATE_HZ)
        power = np.abs(np.fft.rfft(hiss)) ** 2
        assert 10 * np.log10(power[hz > 0.55 * rate_hz].mean() / power[hz < 0.4 * rate_hz].mean()) < -50
    with pytest.raises(ConfigError, match="4000 to 48000 Hz"):
        resample_round_trip(tone, 100)


def test_masks_take_out_their_band_and_their_stretch_and_nothing_else() -> None:
    samples = noise(4)
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    change = np.abs(np.fft.rfft(mask_band(samples, 1_000, 2_000))) / np.abs(np.fft.rfft(samples))
    assert np.median(change[(hz > 1_100) & (hz < 1_900)]) < 0.01
    assert np.abs(np.median(change[(hz < 900) | (hz > 2_100)]) - 1) < 0.01
    np.testing.assert_array_equal(mask_band(samples, 500, 500), samples)
    silenced = mask_time(samples, 0.5, 0.25)
    assert not silenced[8_001:11_999].any()
    np.testing.assert_array_equal(silenced[:7_900], samples[:7_900])
    np.testing.assert_array_equal(silenced[12_100:], samples[12_100:])


@pytest.mark.parametrize("rt60_s", [0.2, 0.8])
@pytest.mark.parametrize("direct_db", [0.0, 15.0])
def test_a_room_dies_away_in_its_time_and_starts_with_the_direct_sound(
    rt60_s: float, direct_db: float
) -> None:
    """Schroeder's backward integral falls by 60 dB in rt60_s: by 20 dB in a third of it."""
    falls = []
    for seed in range(8):
        response = room_response(rt60_s, direct_db, np.random.default_rng(seed)).astype(np.float64)
        assert response[0] == 1 == np.abs(response).max()
        assert not response[1:32].any()
        assert 10 * np.log10(1 / np.sum(response[1:] ** 2)) == pytest.approx(direct_db, abs=0.1)
        left_db = 10 * np.log10(np.cumsum(response[:0:-1] ** 2)[::-1] + 1e-30)
        at = [int(share * rt60_s * RATE_HZ) for share in (0.3, 0.3 + 1 / 3)]
        falls.append(left_db[at[0]] - left_db[at[1]])
    assert np.mean(falls) == pytest.approx(20, abs=3)


def test_a_room_keeps_level_and_place(speechlike: Speechlike) -> None:
    speech = speechlike(2.0, seed=5) / 4
    wet = add_room(speech, 0.5, 5.0, np.random.default_rng(0))
    assert rms_db(wet) == pytest.approx(rms_db(speech), abs=0.05)
    assert lag_of(wet, speech) == 0
    assert not add_room(np.zeros(99, np.float32), 0.5, 5.0, np.random.default_rng(0)).any()


@pytest.mark.parametrize("concealment", ["silence", "repeat"])
def test_packets_are_lost_in_bursts_of_their_share(concealment: str) -> None:
    samples = noise(7, 320 * 10_000)
    result = lose_packets(samples, 0.1, np.random.default_rng(0), burst_packets=3.0, concealment=concealment)
    lost = (result != samples).reshape(-1, 320).any(axis=1)
    assert lost.mean() == pytest.approx(0.1, abs=0.02)
    bursts = np.count_nonzero(np.diff(lost.astype(int)) == 1)
    assert lost.sum() / bursts == pytest.approx(3.0, abs=0.45)
    gone = int(np.flatnonzero(lost[1:] & ~lost[:-1])[0]) + 1
    heard = result.reshape(-1, 320)[gone]
    assert (
        not heard.any()
        if concealment == "silence"
        else np.allclose(heard, 0.5 * samples.reshape(-1, 320)[gone - 1])
    )
    with pytest.raises(ConfigError, match="0 to 0.5"):
        lose_packets(samples, 0.9, np.random.default_rng(0))


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


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("count", [1, 399, 24_001])
def test_every_transform_keeps_the_contract(name: str, count: int) -> None:
    samples = noise(8, count)
    kept = samples.copy()
    for seed in range(3):
        result, again = (augment(samples, np.random.default_rng(seed), only(name)) for _ in range(2))
        assert result.dtype == np.float32 and result.shape == samples.shape
        assert np.isfinite(result).all() and np.abs(result).max() <= 1
        np.testing.assert_array_equal(result, again)
        assert np.isfinite(
            augment(np.zeros(count, np.float32), np.random.default_rng(seed), only(name))
        ).all()
    np.testing.assert_array_equal(samples, kept)
    assert count < 1_000 or not np.array_equal(result, samples), "a transform that does nothing was not run"


@pytest.mark.parametrize("name", POLICIES)
def test_policies_replay_and_can_be_sent_to_workers(name: str, speechlike: Speechlike) -> None:
    import pickle

    transform = augmentation(name)
    sent = pickle.loads(pickle.dumps(transform))
    speech = speechlike(0.5)
    for seed in range(3):
        np.testing.assert_array_equal(
            transform(speech, np.random.default_rng(seed)), sent(speech, np.random.default_rng(seed))
        )
    with pytest.raises(ConfigError, match="unknown augmentation 'loud'; accepted: default, rawboost"):
        augmentation("loud")


def test_the_default_policy_is_what_models_so_far_were_trained_with() -> None:
    """Transforms that are off draw nothing, so adding one leaves what others do alone. Golden sums."""
    samples = noise(9, 16_000)
    found = [float(np.abs(augment(samples, np.random.default_rng(seed))).sum()) for seed in range(6)]
    np.testing.assert_allclose(found, GOLDEN, rtol=1e-3)


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
    half = replace(NEVER, level_probability=0.5)
    changed = sum(not np.array_equal(augment(speech, rng, half), speech) for _ in range(400))
    assert 160 < changed < 240  # 4 standard deviations


def test_every_row_has_its_probability() -> None:
    names = {field.name for field in fields(Augment)}
    assert {f"{name}_probability" for name in TRANSFORMS} == {name for name in names if "probability" in name}
