from itertools import pairwise

import numpy as np
import pytest
import torch

from ringtrue.errors import ConfigError, CorpusError
from ringtrue.models.frontends import load_frontend
from ringtrue.training.content import IGNORED, ContentAdversary, make_units, ramp, reverse_gradient
from ringtrue.windows import content_frames


def test_lambda_is_the_share_of_the_tasks_gradient():
    rng = torch.Generator().manual_seed(0)
    task, adversary = (torch.randn(4, 3, 5, generator=rng) for _ in range(2))
    for size in (1e-6, 1.0, 1e6):  # whatever the adversary's own scale
        joined = reverse_gradient(task, size * adversary, 0.25)
        reversed_part = joined - task
        assert float(reversed_part.norm() / task.norm()) == pytest.approx(0.25, rel=1e-4)
        cosine = torch.cosine_similarity(reversed_part.flatten(), adversary.flatten(), dim=0)
        assert float(cosine) == pytest.approx(-1.0, abs=1e-4)


def test_lambda_zero_and_an_adversary_without_gradient_leave_the_task_alone():
    task = torch.ones(2, 3)
    assert torch.equal(reverse_gradient(task, torch.randn(2, 3), 0.0), task)
    assert torch.equal(reverse_gradient(task, torch.zeros(2, 3), 1.0), task)


def test_the_reversal_makes_the_adversary_worse_at_the_evidence():
    """Against finite differences: a step along the returned gradient raises the adversary's loss."""
    torch.manual_seed(0)
    adversary = ContentAdversary(4, units=6)
    evidence = torch.randn(2, 4, 10, requires_grad=True)
    labels, units = torch.tensor([0, 1]), torch.randint(0, 6, (2, 10))
    loss, _ = adversary(evidence, labels, units)
    (gradient,) = torch.autograd.grad(loss, evidence)
    step = reverse_gradient(torch.zeros_like(gradient) + 1e-3, gradient, 1.0) - 1e-3
    with torch.no_grad():
        after, _ = adversary(evidence - 100 * step, labels, units)
    assert after > loss


@pytest.mark.parametrize("spelled_out", [True, False])
def test_the_adversary_reads_units_that_are_there_and_not_units_that_are_not(spelled_out):
    torch.manual_seed(0)
    adversary = ContentAdversary(5, units=5)
    optimiser = torch.optim.Adam(adversary.parameters(), 1e-2)
    for _ in range(60):  # fresh clips every step, so that nothing can be learnt by heart
        labels, units = torch.randint(0, 2, (8,)), torch.randint(0, 5, (8, 40))
        told = torch.nn.functional.one_hot(units, 5).transpose(1, 2).float()
        optimiser.zero_grad()
        loss, accuracy = adversary(told if spelled_out else torch.randn(8, 5, 40), labels, units)
        loss.backward()
        optimiser.step()
    if spelled_out:
        assert loss < 0.1
        assert accuracy > 0.95
    else:
        assert loss > 0.95  # 1 is knowing nothing
        assert accuracy < 0.3  # 0.2 is chance


def test_frames_without_a_unit_do_not_count():
    torch.manual_seed(0)
    adversary = ContentAdversary(3, units=4)
    evidence, labels = torch.randn(1, 3, 8), torch.tensor([1])
    units = torch.randint(0, 4, (1, 8))
    half = units.clone()
    half[:, 4:] = IGNORED
    changed = half.clone()
    changed[:, :4] = units[:, :4]
    assert torch.equal(adversary(evidence, labels, half)[0], adversary(evidence, labels, changed)[0])
    assert not torch.equal(adversary(evidence, labels, half)[0], adversary(evidence, labels, units)[0])


def test_the_ramp_waits_then_rises_to_one():
    values = [ramp(progress) for progress in np.linspace(0, 1, 50)]
    assert values[:5] == [0.0] * 5
    assert all(a <= b for a, b in pairwise(values))
    assert values[-1] > 0.999


def test_units_are_cached_and_survive_a_kill(trials, loader, tmp_path, monkeypatch):
    from ringtrue.training import content

    monkeypatch.setattr(content, "_SHARD", 10)
    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    teacher = load_frontend("log-mel")

    def make(folder, load):
        return make_units(heard, load, teacher, folder, layer=0, count=8, fit_clips=5, seed=0)

    whole = make(tmp_path / "whole", loader)
    calls = 0

    def deadly(trial):
        nonlocal calls
        calls += 1
        if calls == 40:
            raise KeyboardInterrupt
        return loader(trial)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "broken", deadly)
    calls = -10_000
    resumed = make(tmp_path / "broken", deadly)
    assert calls < -10_000 + len(heard)  # what was there was not made again
    assert all(np.array_equal(whole.by_trial[t.id], resumed.by_trial[t.id]) for t in heard)

    def forbidden(trial):
        raise AssertionError("the cache was not used")

    cached = make(tmp_path / "whole", forbidden)
    assert all(np.array_equal(whole.by_trial[t.id], cached.by_trial[t.id]) for t in heard)


def test_damaged_shards_and_centroids_are_made_again(trials, loader, tmp_path):
    heard = [trial for trial in trials if trial.split == "train"]
    teacher, lines = load_frontend("log-mel"), []

    def make():
        return make_units(
            heard, loader, teacher, tmp_path, layer=0, count=8, fit_clips=5, seed=0, progress=lines.append
        )

    whole = make()
    for pattern in ("units-*", "centroids*"):
        for path in tmp_path.rglob(pattern):
            path.write_bytes(path.read_bytes()[:20])
        again = make()
        assert any("damaged and is made again" in line for line in lines)
        assert all(np.array_equal(whole.by_trial[t.id], again.by_trial[t.id]) for t in heard)
        lines.clear()


def test_a_long_recording_is_read_in_pieces(monkeypatch):
    from ringtrue.training import content

    teacher = load_frontend("log-mel")
    wave = (0.1 * np.random.default_rng(0).standard_normal(70_123)).astype(np.float32)
    whole = content._features(teacher, 0, wave)
    lengths = []
    monkeypatch.setattr(content, "_PIECE", 60)
    honest = teacher.forward
    monkeypatch.setattr(
        teacher, "forward", lambda w, layer: (lengths.append(w.shape[1]), honest(w, layer))[1]
    )
    pieces = content._features(teacher, 0, wave)
    assert len(lengths) == 4
    assert pieces.shape == whole.shape
    # frames at the joints lack a neighbour of context, the others are the same up to the normalisation
    assert (pieces - whole).abs().median() < 0.01


def test_a_layer_that_is_not_there_is_refused(trials, loader, tmp_path):
    with pytest.raises(ConfigError, match=r"content\.layer = 3: log-mel has layers 0 to 0"):
        make_units(trials, loader, load_frontend("log-mel"), tmp_path, layer=3, count=8, fit_clips=5, seed=0)


def test_batches_without_any_unit_teach_the_adversary_nothing():
    adversary = ContentAdversary(4, units=6)
    evidence = torch.randn(2, 4, 10, requires_grad=True)
    loss, accuracy = adversary(evidence, torch.tensor([0, 1]), torch.full((2, 10), IGNORED))
    loss.backward()
    assert (loss.item(), accuracy.item()) == (0.0, 0.0)
    assert not evidence.grad.any()


def test_units_have_the_frames_of_the_evidence_and_use_their_range(trials, loader, units):
    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    for trial in heard:
        assert len(units.by_trial[trial.id]) == content_frames(len(loader(trial)))
    used = np.unique(np.concatenate([units.by_trial[trial.id] for trial in heard]))
    assert used.min() >= 0
    assert used.max() < units.count
    assert len(used) > units.count // 2


def test_units_do_not_depend_on_machine_speech(trials, loader, tmp_path):
    """Clusters come from bona fide training clips only: other spoof clips move no unit of a person's."""
    heard = [trial for trial in trials if trial.split == "train"]

    def make(folder, load):
        return make_units(
            heard, load, load_frontend("log-mel"), folder, layer=0, count=8, fit_clips=20, seed=0
        )

    def louder(trial):
        return loader(trial) if trial.is_bonafide else np.ones(16_000, np.float32)

    first, second = make(tmp_path / "a", loader), make(tmp_path / "b", louder)
    assert all(np.array_equal(first.by_trial[t.id], second.by_trial[t.id]) for t in heard if t.is_bonafide)


def test_too_little_speech_for_the_units_is_said(trials, loader, tmp_path):
    spoof = [trial for trial in trials if not trial.is_bonafide and trial.split == "train"]
    with pytest.raises(CorpusError, match="0 frames of bona fide training speech"):
        make_units(spoof, loader, load_frontend("log-mel"), tmp_path, layer=0, count=8, fit_clips=20, seed=0)
