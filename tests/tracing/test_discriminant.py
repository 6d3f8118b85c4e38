"""The tracer that is not distilled: what its statistics hear and what they are deaf to, and Fisher's directions."""

import numpy as np
import pytest
import torch

from ringtrue.errors import CorpusError
from ringtrue.inference.source import prepare
from ringtrue.tracing import discriminant
from ringtrue.tracing.discriminant import DiscriminantGraph, family_logits, fit
from ringtrue.tracing.texture import Texture, textures

SPREAD = np.array([[1.0, 0.8], [0.8, 1.0]])


@pytest.fixture
def clouds():
    """Three classes in a plane that differ along its narrow diagonal, where their spread is least."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 400)
    means = np.array([[-1.0, 1.0], [0.0, 0.0], [1.0, -1.0]])
    return means[labels] + rng.multivariate_normal([0, 0], SPREAD, len(labels)), labels


def test_its_direction_is_fishers(clouds):
    statistics, labels = clouds
    model = fit(statistics, labels)
    direction = model.directions[:, 0] / model.scale
    expected = np.linalg.solve(SPREAD, [1.0, -1.0])
    cosine = direction @ expected / np.linalg.norm(direction) / np.linalg.norm(expected)
    assert abs(cosine) > 0.99


def test_clips_of_a_system_spread_by_one_in_every_direction(clouds, monkeypatch):
    monkeypatch.setattr(discriminant, "_SHRINKAGE", 0.0)
    monkeypatch.setattr(discriminant, "_FARTHEST", 100.0)
    statistics, labels = clouds
    model = fit(statistics, labels)
    apart = model.embed(statistics) - model.positions[labels]
    assert apart.T @ apart / len(apart) == pytest.approx(np.eye(model.directions.shape[1]), abs=1e-3)
    distance = np.linalg.norm(model.embed(statistics)[:, None] - model.positions, axis=2)
    assert model.logits(model.embed(statistics)) == pytest.approx(-0.5 * distance**2)


def test_what_differs_among_people_is_discounted(clouds):
    """A statistic that tells the classes apart and people as much loses weight beside one that people share."""
    rng = np.random.default_rng(1)
    _, labels = clouds
    statistics = labels[:, None] + rng.normal(size=(len(labels), 2))
    people = np.stack([10 * rng.normal(size=500), rng.normal(size=500)], axis=1)
    plain, told = (np.abs(fit(statistics, labels, heard).directions[:, 0]) for heard in (None, people))
    assert plain[0] == pytest.approx(plain[1], rel=0.2)
    assert told[0] < 0.5 * told[1]


def test_a_family_is_as_likely_as_its_systems_together():
    logits = np.log([[0.2, 0.5, 0.3]])
    assert np.exp(family_logits(logits, {"a": [0, 2], "b": [1]})) == pytest.approx(np.array([[0.5, 0.5]]))


def test_a_system_without_clips_is_refused():
    with pytest.raises(CorpusError, match=r"clips by system: \[2, 0, 2\]"):
        fit(np.ones((4, 3)), np.array([0, 0, 2, 2]))
    with pytest.raises(CorpusError, match="two systems or more"):
        fit(np.ones((4, 3)), np.zeros(4, np.int64))


def test_the_graph_is_the_discriminant(sounds):
    waves = [prepare(wave) for wave in list(sounds.values())[::4]]
    statistics = textures(waves)
    labels = np.arange(len(waves)) // 3
    model = fit(statistics, labels)
    families = {"a": [0, 1], "b": [2, 3]}
    graph = DiscriminantGraph(model, [families, families]).eval()
    with torch.inference_mode():
        embedding, systems, some, others = graph(torch.from_numpy(np.stack(waves)))
    assert embedding.numpy() == pytest.approx(model.embed(statistics), abs=0.02)
    logits = model.logits(model.embed(statistics))
    assert systems.numpy() == pytest.approx(logits, rel=1e-3, abs=0.1)
    assert some.numpy() == pytest.approx(family_logits(logits, families), rel=1e-3, abs=0.1)
    assert torch.equal(some, others)


def test_texture_is_deaf_to_order_and_polarity_and_hears_what_a_vocoder_does(speechlike):
    wave = prepare(speechlike(4.0, 3))
    turned, crushed = -wave, np.sign(wave) * np.abs(wave) ** 0.5 * 0.2
    texture = Texture().eval()
    with torch.inference_mode():
        heard = texture(torch.from_numpy(np.stack([wave, turned, crushed])))
    assert torch.isfinite(heard).all()
    assert heard[0].numpy() == pytest.approx(heard[1].numpy(), abs=1e-3)
    assert (heard[0] - heard[2]).abs().mean() > 0.05
    silence = texture(torch.zeros(1, 64_000))
    assert torch.isfinite(silence).all()
