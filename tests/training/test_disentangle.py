"""The two sides of the game, held apart; every ingredient that a configuration can ask for takes a step."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ringtrue.config import load_config
from ringtrue.data.batches import TrainingBatches, pieces_of
from ringtrue.data.trials import Trial
from ringtrue.models.registry import create
from ringtrue.training.content import IGNORED, ContentUnits
from ringtrue.training.parallel import Team
from ringtrue.training.readers import (
    ClipReader,
    FrameReaders,
    bag_loss,
    bag_of_units,
    frame_accuracy,
    frame_loss,
)
from ringtrue.training.spoken import Said, count_content
from ringtrue.training.step import Lesson, Teaching

UNITS = 12


def wave_of(trial):
    return (0.1 * np.random.default_rng(int(trial.id)).standard_normal(16_000)).astype(np.float32)


def corpus():
    """Twelve recordings and a copy of each."""
    people = [
        Trial(
            id=str(n),
            audio="",
            label="bonafide",
            split="train",
            speaker=f"p{n % 4}",
            source_utterance=f"u{n}",
        )
        for n in range(12)
    ]
    copies = [
        Trial(
            id=str(100 + n), audio="", label="spoof", split="train", speaker=f"p{n % 4}", system=f"s{n % 3}",
            source_utterance=f"u{n}",
        )
        for n in range(12)
    ]  # fmt: skip
    return people + copies


@pytest.fixture(scope="module")
def trials():
    return corpus()


@pytest.fixture(scope="module")
def units(trials):
    rng = np.random.default_rng(0)
    return ContentUnits(
        UNITS,
        {trial.id: rng.integers(0, UNITS, 49).astype(np.int16) for trial in trials},
        "key",
        {},
        {trial.id: rng.standard_normal((2, 6)).astype(np.float16) for trial in trials},
    )


def lesson_of(trials, units, overrides, recipe="baseline", teaching=None):
    small = ["model.size=XS", f"content.units={UNITS}", "training.batch_size=8", "training.crop_s=0.6"]
    config = load_config(recipe, [*small, *overrides])
    torch.manual_seed(0)
    lesson = Lesson(
        config, create("prosody_encoder", **config.model.model_dump()), trials, units, Team(), teaching
    )
    lesson.train()
    batches = TrainingBatches(
        trials, pieces_of(wave_of), 8, 0.6, 0, units.by_trial, pairs=config.training.pairs
    )
    return lesson, batches


@pytest.mark.parametrize(
    ("overrides", "terms"),
    [
        ([], set()),
        (["adversary.strength=0.1"], {"adversary_frame"}),
        (["adversary.strength=1.0", "adversary.level=utterance"], {"adversary_utterance"}),
        (["adversary.strength=0.1", "adversary.level=both"], {"adversary_frame", "adversary_utterance"}),
        (["adversary.strength=0.1", "adversary.objective=confusion", "adversary.level=both"],
         {"adversary_frame", "adversary_utterance"}),
        (["adversary.strength=0.1", "adversary.objective=club", "adversary.level=both"],
         {"adversary_frame", "adversary_utterance"}),
        (["adversary.strength=0.1", "adversary.target=speaker"], {"adversary_utterance"}),
        (["adversary.strength=0.1", "adversary.target=speaker", "adversary.objective=confusion"],
         {"adversary_utterance"}),
        (["adversary.strength=0.1", "adversary.target=pooled", "content.pooled_layer=0"], {"adversary_utterance"}),
        (["adversary.strength=0.1", "adversary.target=pooled", "content.pooled_layer=0", "adversary.scale=raw"],
         {"adversary_utterance"}),
        (["decorrelation.frame=1.0", "decorrelation.utterance=1.0"],
         {"decorrelation_frame", "decorrelation_utterance"}),
        (["decorrelation.frame=1.0", "content.conditional=false"], {"decorrelation_frame"}),
        (["decorrelation.frame=0.1", "decorrelation.utterance=0.1", "decorrelation.measure=hsic"],
         {"decorrelation_frame", "decorrelation_utterance"}),
        (["training.bottleneck=0.001"], {"bottleneck"}),
        (["training.bottleneck=0.001", "adversary.strength=0.1"], {"bottleneck", "adversary_frame"}),
        (["training.pairs=0.5"], {"twins"}),
        (["model.prosody=true"], {"stream0", "stream1"}),
        (["model.prosody=true", "training.prosody_task=0.2"], {"stream0", "stream1", "prosody_task"}),
        (["training.sharpness=0.5"], set()),
        (["training.average=0.99"], set()),
        (["training.precision=bfloat16"], set()),
        (["distillation.weight=0.5"], {"distillation"}),
        (["model.trunk=resnet", "decorrelation.frame=1.0"], {"decorrelation_frame"}),
    ],
)  # fmt: skip
def test_every_ingredient_takes_steps_and_reports_its_part(trials, units, overrides, terms):
    rng = np.random.default_rng(1)
    teaching = None
    if "distillation.weight=0.5" in overrides:
        teaching = Teaching(
            {trial.id: rng.standard_normal(2).astype(np.float32) for trial in trials},
            {trial.id: rng.standard_normal(5).astype(np.float32) for trial in trials},
        )
    lesson, batches = lesson_of(trials, units, overrides, teaching=teaching)
    before = [parameter.clone() for parameter in lesson.model.parameters()]
    for step in (60, 61):  # of 100: past the warm-up, where penalties act and flat minima are looked for
        figures = lesson.learn(batches[step], step, 100)
    assert figures is not None
    assert {name.removesuffix("_weight") for name in figures if name.endswith("_weight")} == terms
    assert all(np.isfinite(value) for value in figures.values())
    assert all(bool(torch.isfinite(p).all()) for p in lesson.model.parameters())
    moved = [not torch.equal(old, new) for old, new in zip(before, lesson.model.parameters(), strict=True)]
    assert np.mean(moved) > 0.9


def test_the_seeds_gradient_is_that_of_a_gradient_reversal_layer(trials, units):
    """Against the textbook layer: identity forward, minus lambda times the gradient backward, at the embedding."""

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return -0.7 * gradient

    overrides = ["content.pooled_layer=0", "adversary.strength=0.7", "model.dropout=0.0"]
    lesson, batches = lesson_of(trials, units, overrides, recipe="seed-hero")
    batch = batches[3]
    said = lesson._said(batch)
    total, _, _, embedding = lesson._losses(batch, said, 60, 0.6)
    ours = torch.autograd.grad(total, embedding, retain_graph=True)[0]

    at = embedding.detach().requires_grad_()
    model, readers = lesson.model, lesson.disentangler
    spoof_loss = functional.cross_entropy(model.head(at), said.labels, label_smoothing=0.05)
    reading = functional.mse_loss(readers.clip(Reverse.apply(at), said.labels), said.pooled)
    (spoof_loss + reading).backward()
    assert torch.allclose(ours, at.grad, atol=1e-6)
    assert float(at.grad.norm()) > 0


@pytest.mark.parametrize("level", ["frame", "utterance"])
def test_an_adversary_pulls_with_its_share_of_the_tasks_gradient(trials, units, level):
    asked = ["adversary.strength=0.25", f"adversary.level={level}", "adversary.objective=confusion"]
    lesson, batches = lesson_of(trials, units, asked)
    batch = batches[0]
    said = lesson._said(batch)
    _, _, evidence, embedding = lesson._losses(batch, said, 0, 0.99)
    task = functional.cross_entropy(lesson.model.head(embedding), said.labels) + evidence.square().mean()
    ((name, (weight, loss)),) = lesson.disentangler.penalties(evidence, embedding, said, task, 0.999).items()
    place = {"adversary_frame": evidence, "adversary_utterance": embedding}[name]
    own, theirs = (torch.autograd.grad(one, place, retain_graph=True)[0].norm() for one in (loss, task))
    assert float(weight * own / theirs) == pytest.approx(0.25, rel=0.01)


def test_nobody_teaches_the_other_side(trials, units):
    lesson, batches = lesson_of(trials, units, ["adversary.level=both"], recipe="hero")
    batch = batches[0]
    said = lesson._said(batch)
    total, _, evidence, embedding = lesson._losses(batch, said, 60, 0.6)
    total.backward()
    assert all(parameter.grad is None for parameter in lesson.disentangler.parameters())
    assert all(parameter.requires_grad for parameter in lesson.disentangler.parameters())
    encoder = {name: value.clone() for name, value in lesson.model.state_dict().items()}
    readers = [parameter.clone() for parameter in lesson.disentangler.parameters()]
    lesson.disentangler.learn(evidence.detach(), embedding.detach(), said, lesson.readers_optimiser, 1.0)
    assert all(torch.equal(encoder[name], value) for name, value in lesson.model.state_dict().items())
    changed = zip(readers, lesson.disentangler.parameters(), strict=True)
    assert all(not torch.equal(old, new) for old, new in changed)


def test_lambda_is_steered_towards_the_wanted_leakage(trials, units):
    lesson, _ = lesson_of(trials, units, ["adversary.strength=0.1", "adversary.leakage_target=0.5"])
    readers = lesson.disentangler
    readers.steer(
        0.4, 0.05
    )  # still warming up: it learns what leaks by itself, and that half of it is wanted
    assert float(readers.strength) == pytest.approx(0.1)
    readers.steer(0.4, 0.5)
    risen = float(readers.strength)
    readers.steer(0.05, 0.6)
    assert risen > 0.1 > 0.05
    assert float(readers.strength) < risen
    for _ in range(100):
        readers.steer(1.0, 0.7)
    assert float(readers.strength) == 1.0
    held, _ = lesson_of(trials, units, ["adversary.strength=0.1"])
    held.disentangler.steer(1.0, 0.7)
    assert float(held.disentangler.strength) == pytest.approx(0.1)


@pytest.mark.parametrize("member", [0, 1, 2])
def test_every_reader_reads_units_that_are_there_and_not_units_that_are_not(member):
    for planted in (True, False):
        torch.manual_seed(0)
        readers = FrameReaders(5, 5, members=3, told=True)
        optimiser = torch.optim.Adam(readers.parameters(), 1e-2)
        for _ in range(60):  # fresh clips every step, so that nothing can be learnt by heart
            labels, units = torch.randint(0, 2, (8,)), torch.randint(0, 5, (8, 40))
            evidence = (
                functional.one_hot(units, 5).transpose(1, 2).float() if planted else torch.randn(8, 5, 40)
            )
            logits = readers(evidence, labels)[member]
            optimiser.zero_grad()
            frame_loss(logits, units, smoothing=0.0).backward()
            optimiser.step()
        loss, accuracy = frame_loss(logits, units, smoothing=0.0), frame_accuracy(logits, units)
        assert (accuracy > 0.95) if planted else (accuracy < 0.3)  # 0.2 is chance
        assert (loss < 0.6) if planted else (loss > 0.95)  # 1 is knowing nothing


def test_a_clip_reader_reads_a_bag_of_units():
    torch.manual_seed(0)
    reader = ClipReader(6, 6, told=False)
    optimiser = torch.optim.Adam(reader.parameters(), 1e-2)
    for _ in range(150):
        bag = torch.softmax(3 * torch.randn(16, 6), dim=1)
        loss = bag_loss(reader(bag.log(), torch.zeros(16, dtype=torch.long)), bag)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.02
    assert float(bag_loss(torch.zeros(16, 6), bag)) > 0.1


def test_readers_are_told_the_label_only_where_they_may_be():
    torch.manual_seed(0)
    evidence, labels = torch.randn(2, 4, 10), torch.tensor([0, 1])
    for told in (True, False):
        readers = FrameReaders(4, 6, members=3, told=told)
        heard = readers(evidence, labels)
        swapped = readers(evidence, 1 - labels)
        assert all(torch.equal(a, b) != told for a, b in zip(heard, swapped, strict=True))


def test_a_renewed_reader_starts_anew_and_the_others_go_on(trials, units):
    lesson, batches = lesson_of(trials, units, ["adversary.refresh=0.1"])
    for step in range(3):
        lesson.learn(batches[step], step, 100)
    before = [[p.clone() for p in member.parameters()] for member in lesson.disentangler.frame.members]
    known = len(lesson.readers_optimiser.state)
    lesson.disentangler.renew(10, 100, lesson.readers_optimiser)
    after = [list(member.parameters()) for member in lesson.disentangler.frame.members]
    changed = [
        any(not torch.equal(a, b) for a, b in zip(old, new, strict=True))
        for old, new in zip(before, after, strict=True)
    ]
    assert changed == [False, True, False]
    assert len(lesson.readers_optimiser.state) == known - len(after[1])


def test_frames_without_a_unit_do_not_count():
    torch.manual_seed(0)
    logits, units = torch.randn(1, 4, 8), torch.randint(0, 4, (1, 8))
    half = units.clone()
    half[:, 4:] = IGNORED
    assert torch.equal(frame_loss(logits, half), frame_loss(logits[:, :, :4], units[:, :4]))
    assert torch.equal(frame_accuracy(logits, half), frame_accuracy(logits[:, :, :4], units[:, :4]))
    nothing = torch.full((1, 8), IGNORED)
    assert float(frame_loss(logits, nothing)) == float(frame_accuracy(logits, nothing)) == 0.0
    assert float(bag_of_units(nothing, 4).sum()) == 0.0


def test_content_is_counted_by_label(trials, units):
    said = dict(units.by_trial)
    said["0"] = np.zeros(490, np.int16)  # one person says unit 0 all the time
    counted = count_content(ContentUnits(UNITS, said, "key", {}), trials)
    assert torch.allclose(counted.prior.sum(1), torch.ones(2))
    assert counted.prior[1, 0] > 3 * counted.prior[0, 0]
    assert set(counted.speakers) == {"p0", "p1", "p2", "p3"}
    assert bool(counted.speakers_of.all())  # copies are spoken by the people that they copy


def test_embeddings_are_remembered_newest_first(trials, units):
    lesson, _ = lesson_of(trials, units, ["decorrelation.utterance=1.0"])
    readers = lesson.disentangler
    labels = torch.tensor([0, 1])
    spoken = torch.randint(0, UNITS, (2, 20))
    said = Said(labels, spoken, labels, torch.zeros(2, 0))
    for value in (1.0, 2.0):
        readers._remember(torch.full((2, readers.embedding_dim), value), said)
    assert readers.queue_labels[:5].tolist() == [0, 1, 0, 1, -1]
    assert readers.queue[:4, 0].tolist() == [2.0, 2.0, 1.0, 1.0]
    features, content, known = readers._remembered(torch.zeros(2, readers.embedding_dim), said)
    assert features.shape == (6, readers.embedding_dim)
    assert content.shape == (6, readers.basis.shape[1])
    assert known.tolist() == [0, 1, 0, 1, 0, 1]
