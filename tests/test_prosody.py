"""Pitch against signals whose pitch is known and against a reference; statistics against constructions."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from ringtrue import prosody
from ringtrue.audio import load
from ringtrue.windows import content_frames

DEV_CLIPS = Path(os.environ.get("RINGTRUE_DEV_CLIPS", Path(__file__).parents[2] / "shared/data/dev_clips"))


def pulses(hz, count=16_000, noise=1e-3, seed=0):
    """Equal harmonics of a pitch, which may change over time, up to 7 kHz, over faint noise."""
    hz = np.broadcast_to(np.asarray(hz, float), np.shape(hz) or (count,))
    count = len(hz)
    phase = 2 * np.pi * np.cumsum(hz) / 16_000
    made = sum(np.where(k * hz < 7_000, np.cos(k * phase), 0.0) for k in range(1, 60))
    return 0.02 * made + noise * np.random.default_rng(seed).standard_normal(count)


def cents(track, hz):
    return 1200 * (track.pitch - np.log2(hz / prosody.LOWEST_HZ))


@pytest.mark.parametrize("hz", [64, 80, 110, 155, 220, 311, 390])
def test_a_steady_pitch_is_found_to_a_few_cents(hz):
    track = prosody.track_pitch(pulses(hz))
    assert np.all(track.voicing[1:-1] > 0.9)
    assert np.abs(cents(track, hz)[3:-3]).max() < 8


def test_a_glide_is_followed():
    hz = 100 * 2 ** (np.arange(32_000) / 32_000)  # an octave in 2 s
    track = prosody.track_pitch(pulses(hz))
    centres = 200 + 320 * np.arange(len(track.pitch))
    assert np.abs(cents(track, hz[centres])[3:-3]).max() < 15


@pytest.mark.parametrize(
    "weights", [{1: 0.05, 2: 1, 3: 1, 4: 1}, {2: 1, 3: 1, 4: 0.5}, {1: 0.3, 2: 1}, {1: 1}]
)
def test_octave_traps_do_not_catch_it(weights):
    """A weak or missing fundamental, a strong second harmonic, a bare sine."""
    time = np.arange(16_000) / 16_000
    wave = sum(weight * np.sin(2 * np.pi * 130 * k * time + k) for k, weight in weights.items())
    track = prosody.track_pitch(wave + 1e-3 * np.random.default_rng(0).standard_normal(16_000))
    assert np.abs(cents(track, 130)[5:-5]).max() < 30


@pytest.mark.parametrize("seed", range(3))
def test_noise_and_silence_have_no_voice(seed):
    noise = np.random.default_rng(seed).standard_normal(32_000)
    assert (prosody.track_pitch(noise).voicing > 0.5).mean() < 0.01
    assert (prosody.track_pitch(np.cumsum(noise)).voicing > 0.5).mean() < 0.1  # noise that rumbles
    assert prosody.track_pitch(np.zeros(4_000)).voicing.max() < 0.5


def test_every_length_has_the_frames_of_the_evidence():
    for count in (400, 719, 720, 721, 722, 723, 724, 1_039, 1_040, 16_000):
        assert len(prosody.track_pitch(np.ones(count)).pitch) == content_frames(count)


def test_pitch_in_the_contours_is_relative_and_carried_through_a_gap():
    wave = np.concatenate([pulses(100, 16_000), 0.01 * pulses(100, 4_800, 0.1), pulses(150, 16_000)])
    pitch, voicing = prosody.contours(wave)[:2]
    transposed = prosody.contours(np.concatenate([pulses(120, 16_000), np.zeros(4_800), pulses(180, 16_000)]))
    fifth = np.log2(1.5)
    assert pitch[35:45].mean() - pitch[3:20].mean() == pytest.approx(fifth, abs=0.01)
    assert np.abs(transposed[0] - pitch)[voicing > 0.9].max() < 0.03
    gap = pitch[np.flatnonzero(voicing < 0.1)]
    assert len(gap) > 3
    assert np.all(np.diff(gap) > -1e-6)
    assert pitch[3] - 0.02 < gap.min() < gap.max() < pitch[40] + 0.02


def test_level_and_a_pause_are_where_they_were_put():
    wave = pulses(140, 48_000)
    wave[16_000:24_000] *= 1e-4  # half a second of pause
    wave[32_000:33_000] *= 1e-4  # a stop of 62 ms is none
    rows = dict(zip(prosody.CHANNELS, prosody.contours(wave), strict=True))
    centres_s = (200 + 640 * np.arange(len(rows["pause"]))) / 16_000
    inside = (centres_s > 1.06) & (centres_s < 1.44)
    assert rows["pause"][inside].min() > 0.95
    assert rows["pause"][(centres_s < 0.94) | (centres_s > 1.56)].max() < 0.05
    assert rows["level"][inside].max() < rows["level"][~inside].mean() - 3
    assert rows["level"].mean() == pytest.approx(0, abs=1e-9)


def test_level_of_the_recording_does_not_matter(speechlike):
    wave = speechlike(2.0)
    assert np.abs(prosody.contours(wave) - prosody.contours(0.1 * wave + 0.02)).max() < 0.02


def test_statistics_measure_what_was_constructed():
    time = np.arange(64_000) / 16_000
    hz = 120 * 2 ** (0.25 * np.sin(2 * np.pi * 0.75 * time))  # 3 semitones either way
    hz[-8_000:] = 120 * 2**-0.5
    wave = pulses(hz, 64_000) * np.clip(
        np.sin(np.pi * 4 * time) ** 2 * 1.5 - 0.1, 0.0, 1
    )  # four syllables a second
    wave[24_000:32_000] *= 1e-4
    found = prosody.statistics(wave)
    assert found.duration_s == 4.0
    assert found.pitch_hz == pytest.approx(120, rel=0.06)
    assert found.pitch_sd_semitones == pytest.approx(3 / np.sqrt(2), rel=0.5)
    assert found.final_lowering_semitones < -4
    assert found.pause_mean_s == pytest.approx(0.5, abs=0.13)
    assert found.pause_rate_hz == pytest.approx(1 / 4, rel=0.1)
    assert found.speech_rate_hz == pytest.approx(4, abs=0.5)
    assert found.rhythm_npvi < 20


def test_a_rough_voice_has_more_jitter_than_a_smooth_one():
    rng = np.random.default_rng(0)
    wobble = np.repeat(rng.normal(0, 0.03, 100), 320)
    smooth, rough = (
        prosody.statistics(pulses(150, 32_000)),
        prosody.statistics(pulses(150 * (1 + wobble), 32_000)),
    )
    assert smooth.jitter_cents < 3
    assert rough.jitter_cents > 5 * smooth.jitter_cents


def test_a_clip_without_a_voice_is_measured_as_far_as_it_goes():
    found = prosody.statistics(np.zeros(8_000))
    assert (found.pitch_hz, found.jitter_cents, found.pause_mean_s) == (None, None, None)
    assert found.voiced_share == 0.0


def agreement(clips):
    """Compare with WORLD: gross errors (over 20 %) and fine ones in cents where its two trackers agree, voicing."""
    pyworld = pytest.importorskip(
        "pyworld", reason="pyworld (extra probe) is the reference and is not installed"
    )
    gross, fine, missed, false = [], [], [], []
    for wave in clips:
        track = prosody.track_pitch(wave)
        samples = wave.astype(np.float64)
        options = {"f0_floor": 60.0, "f0_ceil": 400.0, "frame_period": 5.0}
        coarse, times = pyworld.dio(samples, 16_000, **options)
        dio, harvest = (
            pyworld.stonemask(samples, coarse, times, 16_000),
            pyworld.harvest(samples, 16_000, **options)[0],
        )
        nearest = np.clip(
            np.round((200 + 320 * np.arange(len(track.pitch))) / 80).astype(int), 0, len(dio) - 1
        )
        dio, harvest = np.maximum(dio[nearest], 1), np.maximum(harvest[nearest], 1)
        sure = (np.minimum(dio, harvest) > 1) & (np.abs(np.log2(dio / harvest)) < 0.05)
        voiced, error = track.voicing > 0.5, cents(track, harvest)
        wrong = np.abs(error) > 1200 * np.log2(1.2)
        gross.append(wrong[sure & voiced])
        fine.append(error[sure & voiced & ~wrong])
        missed.append(~voiced[sure])
        false.append(voiced[(dio == 1) & (harvest == 1)])
    rates = [100 * float(np.concatenate(part).mean()) for part in (gross, missed, false)]
    spread = float(np.median(np.abs(np.concatenate(fine))))
    print(
        f"\npitch against WORLD, {sum(map(len, gross))} frames: gross errors {rates[0]:.2f} %, fine error "
        f"{spread:.1f} cents, voiced frames missed {rates[1]:.1f} %, unvoiced frames voiced {rates[2]:.1f} %"
    )
    return rates[0], spread, rates[1], rates[2]


def test_pitch_agrees_with_a_reference_on_a_speechlike_signal(speechlike):
    gross, fine, _, _ = agreement([speechlike(2.0, seed) for seed in range(6)])
    assert gross < 1
    assert fine < 15


def test_pitch_agrees_with_a_reference_on_real_speech():
    if not DEV_CLIPS.is_dir():
        pytest.skip(
            "no published demo clips here: set RINGTRUE_DEV_CLIPS to the folder that holds manifest.csv"
        )
    with open(DEV_CLIPS / "manifest.csv", encoding="utf-8") as file:
        human = [row["path"] for row in csv.DictReader(file) if row["label"] == "bonafide"]
    gross, fine, missed, false = agreement([load(DEV_CLIPS / path).samples for path in human[::43]])
    assert gross < 1.5
    assert fine < 12
    assert missed < 12
    assert false < 8
