"""The chain that both classes pass: what it fixes is fixed, what it draws comes from the source."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from starter_world import speechlike

from ringtrue.data.corpora.starter import harmonise as chain


def level_db(samples: np.ndarray) -> float:
    """RMS over the 25 ms frames that are speech, written out again here."""
    frames = np.flatnonzero(chain.speech_frames(samples))
    power = [np.mean(np.square(samples[i * 160 : i * 160 + 400], dtype=np.float64)) for i in frames]
    return float(10 * np.log10(np.mean(power)))


def sources_by_codec() -> dict[str, str]:
    """Find a source utterance that draws each codec."""
    found = {}
    for number in range(400):
        found.setdefault(chain.codec_of(f"clip{number}", 0), f"clip{number}")
    return found


@pytest.mark.parametrize("gain", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("codec", chain.CODECS)
def test_level_band_peak_and_silence_are_the_same_whatever_came_in(codec, gain):
    given = (gain * speechlike("level")).astype(np.float32)
    made = chain.harmonise(chain.trim(given), sources_by_codec()[codec], 0)
    assert made.dtype == np.float32
    assert level_db(made) == pytest.approx(chain.LEVEL_DB, abs=0.3)
    assert np.abs(made).max() < 0.99
    spectrum = np.square(np.abs(np.fft.rfft(made * np.hanning(len(made)))))
    frequency_hz = np.fft.rfftfreq(len(made), 1 / 16_000)
    low_hz, high_hz = chain.BAND_HZ
    outside = spectrum[(frequency_hz < low_hz - 60) | (frequency_hz > high_hz + 60)].sum()
    assert outside < 1e-6 * spectrum.sum()
    speech = np.flatnonzero(chain.speech_frames(made))
    assert speech[0] * 0.01 < 0.09  # silence before
    assert (len(made) - speech[-1] * 160 - 400) / 16_000 < 0.09  # and after


def test_a_peaky_clip_is_made_softer_rather_than_clipped():
    given = 0.01 * speechlike("peaky")
    given[20_000:20_004] = [1.0, -1.0, 1.0, -1.0]
    made = chain.to_level(given)
    assert np.abs(made).max() == pytest.approx(0.98, abs=1e-6)
    assert np.corrcoef(made, given)[0, 1] == pytest.approx(1.0, abs=1e-6)


def test_trimming_finds_the_words():
    words = speechlike("words")[4_000:-4_000]
    lead, tail = np.zeros(12_345, np.float32), np.zeros(8_000, np.float32)
    noise = 1e-4 * np.random.default_rng(1).standard_normal(12_345 + len(words) + 8_000)
    trimmed = chain.trim((np.concatenate([lead, words, tail]) + noise).astype(np.float32))
    margin = 2 * chain.MARGIN_S * 16_000
    assert abs(len(trimmed) - len(words) - margin) < 0.08 * 16_000
    made = chain.harmonise(trimmed, sources_by_codec()["none"], 0)
    assert len(made) == len(trimmed)


@pytest.mark.parametrize("length", [0, 1, 399, 400, 16_000])
def test_silence_of_any_length_has_no_speech(length):
    silence = np.zeros(length, np.float32)
    assert not chain.speech_frames(silence).any()
    assert chain.trim(silence).size == 0
    assert not chain.is_speech(silence)


def test_only_moving_sound_of_the_right_length_passes_for_speech():
    hum = np.sin(2 * np.pi * 200 * np.arange(32_000) / 16_000).astype(np.float32)
    hiss = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert chain.is_speech(chain.trim(speechlike("a", 2.0)))
    assert not chain.is_speech(chain.trim(speechlike("a", 0.8)))
    assert not chain.is_speech(chain.trim(speechlike("a", 12.0)))
    assert not chain.is_speech(hum)
    assert not chain.is_speech(hiss)


def test_each_codec_is_drawn_about_equally_often_and_by_the_source_alone():
    draws = Counter(chain.codec_of(f"clip{number}", 0) for number in range(6_000))
    assert set(draws) == set(chain.CODECS)
    expected = 6_000 / len(chain.CODECS)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in draws.values())
    assert any(chain.codec_of(f"clip{n}", 0) != chain.codec_of(f"clip{n}", 1) for n in range(20))


def test_twins_get_the_same_noise_and_strangers_another():
    given = speechlike("twin")
    source = sources_by_codec()["none"]
    first, twin = chain.harmonise(given, source, 0), chain.harmonise(given, source, 0)
    assert np.array_equal(first, twin)
    assert not np.array_equal(first, chain.harmonise(given, source, 3)[: len(first)])


def test_digital_silence_inside_a_clip_is_covered():
    given = speechlike("pause")
    given[12_000:17_000] = 0.0
    made = chain.harmonise(given, sources_by_codec()["none"], 0)
    frames = np.lib.stride_tricks.sliding_window_view(made, 400)[::160]
    quietest_db = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1).min() + 1e-20)
    assert quietest_db > chain.NOISE_DB[0] - 6
