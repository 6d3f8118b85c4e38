"""Envelopes that move: what the statistics see and do not see, and what a fit is."""

import numpy as np
import pytest
import torch

from ringtrue.data.augment import POLICIES
from ringtrue.errors import CorpusError
from ringtrue.evaluation.logistic import fit_logistic
from ringtrue.models.envelope import EnvelopeDetector
from ringtrue.training import envelope
from ringtrue.windows import WINDOW


def still(rng, samples=WINDOW):
    """Noise with one envelope all along."""
    return (0.1 * rng.standard_normal(samples)).astype(np.float32)


def moving(rng, samples=WINDOW):
    """The same noise through another filter every tenth of a second."""
    wave = still(rng, samples)
    for at in range(0, samples, 1_600):
        piece = wave[at : at + 1_600]
        shape = np.exp(rng.normal(0, 1.0, 12)).repeat(200)[: len(piece) // 2 + 1]
        spectrum = np.fft.rfft(piece)
        wave[at : at + 1_600] = np.fft.irfft(spectrum * np.resize(shape, len(spectrum)), len(piece))
    return wave


def clips(count, seed=0):
    rng = np.random.default_rng(seed)
    waves = [moving(rng) if index % 2 else still(rng) for index in range(count)]
    return waves, np.arange(count) % 2 == 1


def test_spread_is_of_the_envelope_and_not_of_level_or_of_silence_around():
    rng = np.random.default_rng(0)
    wave = moving(rng, 48_000)
    silence = np.zeros(16_000, np.float32)
    plain = envelope.measure([wave])[0]
    assert np.allclose(envelope.measure([0.01 * wave])[0], plain, atol=0.01)
    aside = EnvelopeDetector().eval()
    with torch.inference_mode():
        alone, with_silence = (
            aside.statistics(torch.from_numpy(some)[None])[0].numpy()
            for some in (wave, np.concatenate([silence, wave, silence]))
        )
    assert np.abs(alone - with_silence).max() < 0.1
    assert (plain[1:] - envelope.measure([still(rng)])[0][1:]).mean() > 0.3


def test_what_a_channel_put_where_it_cut_a_band_off_does_not_count():
    """Coding noise there stands still; were it heard like speech, the envelope would seem to move less."""
    rng = np.random.default_rng(1)
    wave, noise = moving(rng), 1e-4 * still(rng)
    spectrum, edge = np.fft.rfft(wave), WINDOW // 4
    spectrum[edge:] = np.fft.rfft(noise)[edge:]
    coded = np.fft.irfft(spectrum, WINDOW).astype(np.float32)
    whole, cut = envelope.measure([wave])[0], envelope.measure([coded])[0]
    assert abs((whole - cut)[1:].mean()) < 0.05


def test_scores_are_what_the_model_gives():
    waves, human = clips(24)
    statistics = envelope.measure(waves)
    model = envelope.fit(statistics, human)
    with torch.inference_mode():
        logits = model(torch.from_numpy(np.stack(waves))).numpy()
    assert np.allclose(envelope.scores(model, statistics), logits[:, 1] - logits[:, 0], atol=1e-3)
    assert envelope.scores(model, statistics)[human].min() > envelope.scores(model, statistics)[~human].max()


def test_what_moves_more_than_people_do_counts_as_what_moves_less():
    waves, human = clips(40)
    statistics = envelope.measure(waves)
    model = envelope.fit(statistics, human)
    too_far = statistics[human] + 5 * model.scale.numpy()
    assert envelope.scores(model, too_far).max() < envelope.scores(model, statistics[human]).min()


def test_a_frame_is_judged_by_the_second_around_it():
    rng = np.random.default_rng(3)
    waves, human = clips(24)
    model = envelope.fit(envelope.measure(waves), human)
    both = np.concatenate([moving(rng), still(rng)])
    with torch.inference_mode():
        logits = model.frame_logits(torch.from_numpy(both)[None])[0].numpy()
    score = logits[1] - logits[0]
    assert score[20:180].mean() > score[220:380].mean() + 1


def test_copies_are_drawn_from_the_generator_alone():
    waves, _ = clips(4)
    found = [envelope.measure(waves, POLICIES["default"], np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_a_fit_needs_both_labels():
    with pytest.raises(CorpusError, match="both labels are needed"):
        envelope.fit(np.zeros((3, 30)), [True, True, True])


def test_a_weight_of_two_is_the_clip_twice():
    rng = np.random.default_rng(5)
    human, machine = rng.normal(0.5, 1, (20, 3)), rng.normal(-0.5, 1, (30, 3))
    weights = rng.integers(1, 4, 20)
    weighted = fit_logistic(human, machine, 0.5, bonafide_weights=weights.astype(float))
    assert np.allclose(weighted, fit_logistic(human.repeat(weights, axis=0), machine, 0.5), atol=1e-6)


def test_a_heavy_ridge_leaves_the_direction_and_takes_the_length():
    rng = np.random.default_rng(6)
    human, machine = rng.normal(0.5, 1, (50, 3)), rng.normal(-0.5, 1, (50, 3))
    light, heavy = (fit_logistic(human, machine, 0.5, ridge=ridge)[:-1] for ridge in (1e-4, 100.0))
    assert np.linalg.norm(heavy) < 0.02 * np.linalg.norm(light)
    assert heavy @ light / np.linalg.norm(heavy) / np.linalg.norm(light) > 0.8
