"""Envelopes that move: what the statistics see and do not see, and what a fit is."""

import numpy as np
import pytest
import torch

from ringtrue.data.augment import POLICIES
from ringtrue.errors import CorpusError
from ringtrue.evaluation.logistic import fit_logistic
from ringtrue.models.envelope import EnvelopeDetector
from ringtrue.training import envelope
from ringtrue.training.envelope import Lesson
from ringtrue.windows import WINDOW


def still(rng, samples=WINDOW):
    """Noise with one envelope all along."""
    return (0.1 * rng.standard_normal(samples)).astype(np.float32)


def moving(rng, samples=WINDOW, every=1_600):
    """The same noise through another filter every tenth of a second, or as often as is said."""
    wave = still(rng, samples)
    for at in range(0, samples, every):
        piece = wave[at : at + every]
        shape = np.exp(rng.normal(0, 1.0, 12)).repeat(every // 8)[: len(piece) // 2 + 1]
        spectrum = np.fft.rfft(piece)
        wave[at : at + every] = np.fft.irfft(spectrum * np.resize(shape, len(spectrum)), len(piece))
    return wave


def clips(count, seed=0):
    rng = np.random.default_rng(seed)
    waves = [moving(rng) if index % 2 else still(rng) for index in range(count)]
    return waves, np.arange(count) % 2 == 1


SPREAD = EnvelopeDetector().places["spread"]


def test_spread_is_of_the_envelope_and_not_of_level_or_of_silence_around():
    rng = np.random.default_rng(0)
    wave = moving(rng, 48_000)
    silence = np.zeros(16_000, np.float32)
    plain = envelope.measure([wave])[0][SPREAD]
    assert np.allclose(envelope.measure([0.01 * wave])[0][SPREAD], plain, atol=0.01)
    aside = EnvelopeDetector().eval()
    with torch.inference_mode():
        alone, with_silence = (
            aside.statistics(torch.from_numpy(some)[None])[0].numpy()[SPREAD]
            for some in (wave, np.concatenate([silence, wave, silence]))
        )
    assert np.abs(alone - with_silence).max() < 0.1
    assert (plain - envelope.measure([still(rng)])[0][SPREAD])[1:].mean() > 0.3


def test_what_a_channel_put_where_it_cut_a_band_off_does_not_count():
    """Coding noise there stands still; were it heard like speech, the envelope would seem to move less."""
    rng = np.random.default_rng(1)
    wave, noise = moving(rng), 1e-4 * still(rng)
    spectrum, edge = np.fft.rfft(wave), WINDOW // 4
    spectrum[edge:] = np.fft.rfft(noise)[edge:]
    coded = np.fft.irfft(spectrum, WINDOW).astype(np.float32)
    whole, cut = (envelope.measure([some])[0][SPREAD] for some in (wave, coded))
    assert abs((whole - cut)[1:].mean()) < 0.05


def test_scores_are_what_the_model_gives():
    waves, human = clips(24)
    statistics = envelope.measure(waves)
    model = envelope.fit(Lesson(statistics, human))
    with torch.inference_mode():
        logits = model(torch.from_numpy(np.stack(waves))).numpy()
    assert np.allclose(envelope.scores(model, statistics), logits[:, 1] - logits[:, 0], atol=1e-3)
    assert envelope.scores(model, statistics)[human].min() > envelope.scores(model, statistics)[~human].max()


def test_what_moves_more_than_people_do_counts_as_what_moves_less():
    waves, human = clips(40)
    statistics = envelope.measure(waves)
    model = envelope.fit(Lesson(statistics, human))
    too_far = statistics[human] + 5 * model.scale.numpy()
    assert envelope.scores(model, too_far).max() < envelope.scores(model, statistics[human]).min()


def test_a_frame_is_judged_by_the_second_around_it():
    rng = np.random.default_rng(3)
    waves, human = clips(24)
    model = envelope.fit(Lesson(envelope.measure(waves), human))
    both = np.concatenate([moving(rng), still(rng)])
    with torch.inference_mode():
        logits = model.frame_logits(torch.from_numpy(both)[None])[0].numpy()
    score = logits[1] - logits[0]
    assert score[20:180].mean() > score[220:380].mean() + 1


def test_the_ear_that_is_convinced_least_speaks():
    """The second knows a machine that moves as far as people do, but not as often."""
    rng = np.random.default_rng(4)
    waves, human = clips(40)
    lazy = [moving(rng, every=6_400) for _ in range(20)]
    people = [wave for wave, is_human in zip(waves, human, strict=True) if is_human]
    both = envelope.measure([*people, *lazy])
    first = Lesson(envelope.measure(waves), human)
    second = Lesson(both, np.arange(40) < 20, ("change", "steps", "depth"), ridge=0.01, is_folded=False)
    alone, together = envelope.fit(first), envelope.fit(first, second)
    statistics = np.concatenate([both, first.statistics[~human]])
    ears = [envelope.scores(alone, statistics), envelope.scores(together, statistics)]
    other = together.decide(together.place(torch.from_numpy(statistics).float()))
    assert np.allclose(ears[1], (other[:, 1] - other[:, 0]).numpy(), atol=1e-5)
    assert (ears[1] <= ears[0] + 1e-4).all()
    assert (ears[1][20:40] < ears[0][20:40] - 1).mean() > 0.9  # heard by the second alone
    assert ears[1][40:].max() < ears[1][:20].min()


def test_scores_count_standard_deviations_from_the_mean_of_people():
    waves, human = clips(40)
    statistics = envelope.measure(waves)
    people = envelope.scores(envelope.fit(Lesson(statistics, human)), statistics)[human]
    assert abs(people.mean()) < 1e-3
    assert abs(people.std() - 1) < 1e-3


def test_changes_and_depth_are_of_the_envelope_and_not_of_level_or_of_silence_around():
    rng = np.random.default_rng(0)
    wave = moving(rng, 48_000)
    aside = EnvelopeDetector().eval()
    silence = np.zeros(16_000, np.float32)
    with torch.inference_mode():
        alone, quiet, with_silence = (
            aside.statistics(torch.from_numpy(some)[None])[0].numpy()
            for some in (wave, 0.01 * wave, np.concatenate([silence, wave, silence]))
        )
    for name in ("change", "steps", "depth"):
        here = aside.places[name]
        assert np.abs(alone[here] - quiet[here]).max() < 0.01
        edges = 0.4 if name == "depth" else 0.05  # where speech begins and ends, bands fall as well
        assert np.abs(alone[here] - with_silence[here]).max() < edges
    slow = aside.places["change"], aside.places["steps"]
    with torch.inference_mode():
        lasting = aside.statistics(torch.from_numpy(still(rng, 48_000))[None])[0].numpy()
    assert all((alone[here][1:] - lasting[here][1:]).mean() > 0.1 for here in slow)


def test_copies_are_drawn_from_the_generator_alone():
    waves, _ = clips(4)
    found = [envelope.measure(waves, POLICIES["default"], np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])


def test_a_fit_needs_both_labels():
    with pytest.raises(CorpusError, match="both labels are needed"):
        envelope.fit(Lesson(np.zeros((3, 188)), np.array([True, True, True])))


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
