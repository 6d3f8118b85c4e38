"""Eight ways in which such a detector has gone wrong before, each as a test that would have caught it."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ringtrue.config import RunConfig, load_config
from ringtrue.data.audit import cramers_v
from ringtrue.data.batches import TrainingBatches, pieces_of
from ringtrue.models.registry import create
from ringtrue.training import invariance
from ringtrue.training.readers import ClipReader


@pytest.mark.parametrize("trunk", ["tcn", "resnet"])
def test_1_no_running_statistics_and_no_raw_power_make_scores_collapse(trunk):
    """Batch statistics over heavy-tailed power spectra: 16 % error in one epoch, exactly 50 in the next."""
    torch.manual_seed(0)
    model = create("prosody_encoder", trunk=trunk, size="XS", dropout=0.0)
    names = {type(module).__name__ for module in model.modules()}
    assert not any("BatchNorm" in name for name in names)
    waves = torch.randn(4, 16_000) * torch.tensor([[1e-3], [0.01], [0.1], [0.5]])
    trained, evaluated = model.train()(waves), model.eval()(waves)
    assert torch.allclose(trained, evaluated, atol=1e-5)
    assert torch.allclose(
        model(waves), model(waves.flip(0)).flip(0), atol=1e-5
    )  # nobody sees their neighbours
    loud = torch.cat([waves[:1], 300 * waves[:1]])
    scores = model(loud)
    assert torch.allclose(scores[0], scores[1], atol=0.05)  # a level is no evidence


def test_2_epochs_are_not_the_same_first_clips_again(trials, loader):
    """Streams that began anew without a shuffle: two languages of forty were ever heard."""
    heard = [trial for trial in trials if trial.split == "train"]
    batches = TrainingBatches(heard, pieces_of(loader), 8, 0.5, 0)
    epochs = [[batch.ids for batch in batches.between(start, start + 4)] for start in (0, 4)]
    assert epochs[0] != epochs[1]
    assert {name for ids in epochs[0] + epochs[1] for name in ids} > {
        name for ids in epochs[0] for name in ids
    }
    systems = {trial.id: trial.system for trial in heard}
    assert len({systems[name] for ids in epochs[0] for name in ids}) == 4  # people, and each of three systems


def test_3_a_clip_stays_on_its_side_whatever_the_process():
    """`hash(path) % 100` is salted anew in every process: validation clips had been trained on."""
    code = (
        "from ringtrue.data.splits import assign_splits\nfrom ringtrue.data.trials import Trial\n"
        "trials = [Trial(id=str(n), audio='', label='bonafide' if n % 2 else 'spoof', speaker=f's{n % 9}', "
        "system='' if n % 2 else f'g{n % 7}') for n in range(90)]\n"
        "print([(t.id, t.split) for t in assign_splits(trials)])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_4_content_is_frames_of_a_middle_layer_unless_the_seed_is_asked_for():
    """The mean of a last layer holds channel, speaker and generator, and hardly what was said."""
    plain, hero = RunConfig(), load_config("hero")
    assert (plain.adversary.target, hero.adversary.target) == ("units", "units")
    assert plain.content.layer == 7  # of twelve
    assert plain.content.pooled_layer is hero.content.pooled_layer is None


def test_5_what_the_encoder_can_win_is_bounded_and_its_strength_rises_slowly():
    """An unbounded squared error and a lambda that jumps from 0 to 1."""
    for loss in (0.0, 0.5, 2.0, 1e6):
        assert 0.0 <= float(invariance.reversal(torch.tensor(loss), 1.0)) <= 1.0
    strengths = [invariance.ramp(step / 200) for step in range(200)]
    assert max(np.diff(strengths)) < 0.03


def test_5b_a_reader_who_only_knows_the_mean_is_reported_to_know_nothing():
    """A loss of 0.004 looked like success, and was the mean of targets that hardly vary."""
    torch.manual_seed(0)
    reader = ClipReader(8, 4, told=False)
    target = 5.0 + 0.01 * torch.randn(64, 4)
    optimiser = torch.optim.Adam(reader.parameters(), 1e-2)
    for _ in range(300):
        loss = torch.nn.functional.mse_loss(
            reader(torch.randn(64, 8), torch.zeros(64, dtype=torch.long)), target
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    blind = torch.nn.functional.mse_loss(target.mean(0).expand_as(target), target)
    assert float(loss.detach()) < 0.01  # looks well learnt
    assert 1 - float(loss.detach() / blind) < 0.1  # and is worth nothing, which is what runs report


def test_6_no_padding_tells_how_long_a_clip_is(trials, loader):
    """The first four seconds and zeros behind: duration and leading silence were the cue."""
    heard = [trial for trial in trials if trial.split == "train"]
    batches = TrainingBatches(heard, pieces_of(loader), 8, 3.0, 0)  # every clip is shorter than that
    for wave in batches[0].wave:
        assert np.count_nonzero(wave) > 0.99 * len(wave)


def test_7_a_language_that_gives_the_label_away_is_measured():
    """Fakes in forty languages against English recordings."""
    labels = ["spoof"] * 40 + ["bonafide"] * 40
    tied = [f"l{n % 8}" for n in range(40)] + ["en"] * 40
    assert cramers_v(labels, tied) > 0.9
    assert cramers_v(labels, ["en", "fr"] * 40) < 0.1


def test_8_the_baseline_is_the_same_code_and_budget():
    """A line commented out, one seed, and the best of many epochs."""
    baseline, hero = load_config("baseline"), load_config("hero")
    assert baseline.training == hero.training
    assert baseline.model == hero.model
