import numpy as np
import pytest

from ringtrue.evaluation.probes import stimuli
from ringtrue.prosody import statistics, track_pitch


@pytest.fixture(scope="module")
def made(speechlike):
    pytest.importorskip("pyworld", reason="pyworld (extra probe) makes these stimuli and is not installed")
    clip = np.concatenate([np.zeros(6_000, np.float32), speechlike(3.0, seed=4), np.zeros(6_000, np.float32)])
    return stimuli.make(clip, np.random.default_rng(0))


def spectrum(samples):
    power = np.abs(np.fft.rfft(samples.astype(np.float64), 65_536)) ** 2
    return np.log10(power.reshape(-1)[:32_768].reshape(64, -1).mean(axis=1) + 1e-9)


def liveliness_cents(samples):
    """Median distance of the pitch of surely voiced frames from its median."""
    track = track_pitch(samples)
    sure = 1200 * track.pitch[track.voicing > 0.95]
    return float(np.median(np.abs(sure - np.median(sure))))


def test_flat_is_flat_and_natural_is_not(made):
    natural, flat = (made[name] for name in ("vocoded_natural", "vocoded_flat"))
    assert liveliness_cents(natural) > 100
    assert liveliness_cents(flat) < 15
    assert statistics(flat).pitch_hz == pytest.approx(statistics(natural).pitch_hz, rel=0.03)


def test_natural_keeps_the_melody(made):
    real, natural = track_pitch(made["real"]), track_pitch(made["vocoded_natural"])
    both = (real.voicing > 0.8) & (natural.voicing > 0.8)
    assert both.sum() > 50
    assert np.median(np.abs(real.pitch - natural.pitch)[both]) * 1200 < 25


def test_prosody_differs_and_artefacts_are_kept(made):
    """Between the two prosodies the spectrum moves far less than between the clip and the vocoder."""
    natural, synthetic, flat = (made[name] for name in stimuli.VOCODED)
    assert len(natural) == len(synthetic) == len(flat) == len(made["real"])
    line = statistics(synthetic)
    assert liveliness_cents(synthetic) < 0.5 * liveliness_cents(natural)
    if line.rhythm_npvi is not None:
        assert line.rhythm_npvi < statistics(natural).rhythm_npvi + 3
    vocoder = np.abs(spectrum(made["real"]) - spectrum(natural)).mean()
    prosody = np.abs(spectrum(synthetic) - spectrum(natural)).mean()
    assert prosody < vocoder or prosody < 0.2


def test_silence_is_trimmed_and_put_back(made):
    assert abs(len(made["real"]) - 3 * 16_000) < 3_000
    assert len(made["padded"]) == len(made["real"]) + 16_000
    assert np.array_equal(made["padded"][8_000:-8_000], made["real"])


def test_backwards_and_shuffled_keep_the_spectrum(made):
    real = made["real"]
    assert np.array_equal(made["reversed"][::-1], real)
    assert len(made["shuffled"]) == len(real)
    assert np.abs(spectrum(made["shuffled"]) - spectrum(real)).mean() < 0.3
    assert not np.array_equal(made["shuffled"], real)


def test_bands_are_cut_where_they_say(made):
    def share(samples, low_hz, high_hz):
        power = np.abs(np.fft.rfft(samples)) ** 2
        hz = np.fft.rfftfreq(len(samples), 1 / 16_000)
        return power[(hz >= low_hz) & (hz <= high_hz)].sum() / power.sum()

    assert share(made["delexicalised"], 0, 460) > 0.9999
    assert share(made["telephone"], 240, 3_460) > 0.9999
    melody = track_pitch(made["delexicalised"])
    real = track_pitch(made["real"])
    both = (melody.voicing > 0.8) & (real.voicing > 0.8)
    assert np.median(np.abs(melody.pitch - real.pitch)[both]) * 1200 < 20


def test_without_a_vocoder_the_rest_is_made(speechlike):
    made = stimuli.make(speechlike(1.0), np.random.default_rng(0), vocoder=False)
    assert set(made) == {"untrimmed", "real", *stimuli.PLAIN}
    silence = stimuli.make(np.zeros(8_000, np.float32), np.random.default_rng(0), vocoder=False)
    assert all(np.isfinite(wave).all() for wave in silence.values())
