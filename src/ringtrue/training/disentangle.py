"""Evidence, embedding and content -> weighted penalties on the encoder, and readers that learn to set them.

The encoder's side (`Disentangler.penalties`) and the readers' side (`Disentangler.learn`) share nothing but the
features of the same batch: the readers see them detached, and are frozen while the encoder looks at them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.config import RunConfig
from ringtrue.training import invariance
from ringtrue.training.content import IGNORED
from ringtrue.training.readers import (
    ClipReader,
    FrameReaders,
    bag_loss,
    bag_of_units,
    frame_accuracy,
    frame_loss,
)
from ringtrue.training.spoken import Said, Statistics

_QUEUE = 512  # earlier embeddings that a correlation is measured over as well: a batch alone is too small
_PAIR_RANK = 8  # directions of the embedding in which twins must agree
_LEAST, _MOST = 1e-3, 1.0  # lambda, where it is steered


class Disentangler(nn.Module):
    """The readers of one run, and what their reading costs the encoder.

    Args:
        config: The run.
        evidence_dim: D of the frame evidence.
        embedding_dim: D of the embedding.
        statistics: What the training side says.
        pooled_dim: Length of the teacher's mean vector; 0 where it is not read.
    """

    def __init__(
        self,
        config: RunConfig,
        evidence_dim: int,
        embedding_dim: int,
        statistics: Statistics,
        pooled_dim: int,
    ):
        super().__init__()
        self.config = config
        self.units = statistics.prior.shape[1]
        conditional = config.content.conditional
        target = config.adversary.target
        outputs = {"units": self.units, "speaker": len(statistics.speakers), "pooled": pooled_dim}[target]
        self.embedding_dim = embedding_dim
        self.frame = FrameReaders(evidence_dim, self.units, config.adversary.ensemble, conditional)
        self.clip = ClipReader(embedding_dim, outputs, conditional)
        self.prior: Tensor
        self.centre: Tensor
        self.basis: Tensor
        self.speakers_of: Tensor
        self.strength: Tensor
        self.wanted: Tensor
        self.queue: Tensor
        self.queue_labels: Tensor
        for name in ("prior", "centre", "basis", "speakers_of"):
            self.register_buffer(name, getattr(statistics, name), persistent=False)
        components = statistics.basis.shape[1]
        self.register_buffer("strength", torch.tensor(config.adversary.strength))
        self.register_buffer("wanted", torch.tensor(-1.0))  # leakage to steer for; -1 until it is known
        self.register_buffer("queue", torch.zeros(_QUEUE, embedding_dim + components))
        self.register_buffer("queue_labels", torch.full((_QUEUE,), -1))

    # ---- the encoder's side -------------------------------------------------------------------------------------

    def penalties(
        self, evidence: Tensor, embedding: Tensor, said: Said, task: Tensor, progress: float
    ) -> dict[str, tuple[float, Tensor]]:
        """Give what the encoder has to pay for content, each with its weight at this moment.

        Args:
            evidence: `(B, D, L)` with its graph.
            embedding: `(B, D)` with its graph, made of the evidence.
            said: What is known of the clips.
            task: The loss that the weights of adversaries are measured against.
            progress: Share of training done, in [0, 1].

        Returns:
            ``name -> (weight, loss)``, without those that this run does not ask for.
        """
        found: dict[str, tuple[float, Tensor]] = {}
        risen = invariance.ramp(progress)
        weights, conditional = self.config.decorrelation, self.config.content.conditional
        if weights.frame:
            loss = (
                invariance.frame_correlation(
                    evidence, said.units, said.labels, self.units, conditional=conditional
                )
                if weights.measure == "correlation"
                else invariance.frame_hsic(evidence, said.units, said.labels, conditional=conditional)
            )
            found["decorrelation_frame"] = (weights.frame * risen, loss)
        if weights.utterance:
            measure = {"correlation": invariance.embedding_correlation, "hsic": invariance.embedding_hsic}
            features, content, labels = self._remembered(embedding, said)
            loss = measure[weights.measure](features, content, labels, conditional=conditional)
            found["decorrelation_utterance"] = (weights.utterance * risen, loss)
        if self.config.adversary.strength:
            raw = self.config.adversary.scale == "raw"
            strength = float(self.strength) * (1.0 if raw else risen)
            with _frozen(self):
                for name, place, loss in self._adversaries(evidence, embedding, said):
                    found[name] = (strength if raw else _share(task, loss, place, strength), loss)
        return found

    def _adversaries(
        self, evidence: Tensor, embedding: Tensor, said: Said
    ) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield each adversary's name, the features it reads, and what the encoder pays for its success."""
        adversary = self.config.adversary
        if adversary.target == "units" and adversary.level in ("frame", "both"):
            logits = self.frame(evidence, said.labels)
            yield (
                "adversary_frame",
                evidence,
                torch.stack([self._frame_objective(one, said) for one in logits]).mean(),
            )
        if adversary.target != "units" or adversary.level in ("utterance", "both"):
            yield (
                "adversary_utterance",
                embedding,
                self._clip_objective(self.clip(embedding, said.labels), said),
            )

    def _frame_objective(self, logits: Tensor, said: Said) -> Tensor:
        known = said.units != IGNORED
        prior = self._prior(said.labels)
        match self.config.adversary.objective:
            case "confusion":
                return invariance.confusion(logits, prior, known)
            case "club":
                return invariance.club(logits, said.units)
        loss = frame_loss(logits, said.units, smoothing=0.0)
        if self.config.adversary.scale == "raw":
            return -loss
        guess = torch.log(prior)[:, :, None].expand_as(logits)
        return invariance.reversal(loss, max(1e-6, float(frame_loss(guess, said.units, smoothing=0.0))))

    def _clip_objective(self, output: Tensor, said: Said) -> Tensor:
        adversary = self.config.adversary
        guess = self._clip_guess(output, said)
        if adversary.objective == "confusion":
            wanted = guess.softmax(dim=1)
            everywhere = torch.ones(len(output), dtype=torch.bool, device=output.device)
            return invariance.confusion(output, wanted, everywhere)
        if adversary.objective == "club":  # of whole clips: the bag in place of one unit
            log_read, bag = functional.log_softmax(output, dim=1), bag_of_units(said.units, self.units)
            together = (log_read * bag).sum(dim=1).mean()
            return functional.relu(together - (log_read.mean(dim=0) * bag.mean(dim=0)).sum()) / math.log(
                self.units
            )
        loss = self._clip_loss(output, said)
        if adversary.scale == "raw":
            return -loss
        return invariance.reversal(loss, max(1e-6, float(self._clip_loss(guess, said))))

    def _clip_guess(self, output: Tensor, said: Said) -> Tensor:
        """What a reader says who knows the label only."""
        match self.config.adversary.target:
            case "units":
                return torch.log(self._prior(said.labels))
            case "speaker":
                there = (
                    self.speakers_of[said.labels]
                    if self.config.content.conditional
                    else self.speakers_of.any(0)
                )
                return torch.where(there, 0.0, -30.0).expand_as(output)
        return said.pooled.mean(dim=0).expand_as(output)

    def _clip_loss(self, output: Tensor, said: Said) -> Tensor:
        match self.config.adversary.target:
            case "units":
                return bag_loss(output, bag_of_units(said.units, self.units))
            case "speaker":
                return functional.cross_entropy(output, said.speakers) / math.log(max(2, output.shape[1]))
        return functional.mse_loss(output, said.pooled)  # not normalised: the seed's

    def _prior(self, labels: Tensor) -> Tensor:
        return (
            self.prior[labels]
            if self.config.content.conditional
            else self.prior.mean(0).expand(len(labels), -1)
        )

    # ---- the readers' side --------------------------------------------------------------------------------------

    def learn(
        self,
        evidence: Tensor,
        embedding: Tensor,
        said: Said,
        optimiser: torch.optim.Optimizer,
        clip_norm: float,
    ) -> dict[str, float]:
        """Teach the readers on one batch's features.

        Args:
            evidence: `(B, D, L)` detached.
            embedding: `(B, D)` detached.
            said: What is known of the clips.
            optimiser: Of the readers.
            clip_norm: Longest gradient.

        Returns:
            How well they read before they learnt: the best frame reader's loss and accuracy, the clip reader's loss
            as a share of one's who knows the label only.
        """
        figures: dict[str, float] = {}
        for _ in range(self.config.adversary.steps):
            logits = self.frame(evidence, said.labels)
            losses = torch.stack([frame_loss(one, said.units) for one in logits])
            output = self.clip(embedding, said.labels)
            clip_loss = self._clip_loss(output, said)
            if not figures:
                best = int(losses.argmin())
                blind = self._clip_loss(self._clip_guess(output, said), said).item()
                figures = {
                    "content_loss": losses[best].item(),
                    "content_accuracy": frame_accuracy(logits[best], said.units).item(),
                    "clip_read": 1.0 - clip_loss.item() / max(1e-6, blind),
                }
            optimiser.zero_grad()
            (losses.sum() + clip_loss).backward()
            nn.utils.clip_grad_norm_(self.parameters(), clip_norm)
            optimiser.step()
        self._remember(embedding, said)
        return figures

    def renew(self, step: int, steps: int, optimiser: torch.optim.Optimizer) -> None:
        """Let one frame reader start anew, each in its turn, where the configuration asks for it.

        Args:
            step: Steps done.
            steps: Steps in the run.
            optimiser: Of the readers; it forgets that member's moments.
        """
        every = round(self.config.adversary.refresh * steps)
        if every and step and step % every == 0:
            member = self.frame.renew(step // every % len(self.frame.members))
            for parameter in member.parameters():
                optimiser.state.pop(parameter, None)

    @torch.no_grad()
    def leakage(self, evidence: Tensor, said: Said) -> dict[str, float]:
        """Measure how much of the content the best frame reader reads.

        Args:
            evidence: `(B, D, L)` of clips that no reader learnt from.
            said: What is known of them.

        Returns:
            ``content_accuracy``, the share of frames named right; ``content_information``, the share of the units'
            entropy given the label that the reading takes away (0: nothing is read).
        """
        logits = self.frame(evidence, said.labels)
        losses = [float(frame_loss(one, said.units, smoothing=0.0)) for one in logits]
        best = int(np.argmin(losses))
        guess = torch.log(self._prior(said.labels))[:, :, None].expand_as(logits[best])
        blind = max(1e-6, float(frame_loss(guess, said.units, smoothing=0.0)))
        return {
            "content_accuracy": float(frame_accuracy(logits[best], said.units)),
            "content_information": 1.0 - losses[best] / blind,
        }

    def steer(self, leakage: float, progress: float) -> None:
        """Move lambda towards the wanted leakage; until the warm-up ends, learn what leaks by itself.

        Args:
            leakage: ``content_information`` now.
            progress: Share of training done.
        """
        share = self.config.adversary.leakage_target
        if share is None:
            return
        if progress <= 0.1 or float(self.wanted) < 0:
            self.wanted.fill_(share * max(0.0, leakage))
            return
        # 10: leakage is a share of 1, and an error of a tenth should move lambda by a fair step
        moved = float(self.strength) * math.exp(10.0 * 0.5 * (leakage - float(self.wanted)))
        self.strength.fill_(min(_MOST, max(_LEAST, moved)))

    # ---- what twins must share ----------------------------------------------------------------------------------

    @torch.no_grad()
    def content_directions(self) -> Tensor:
        """Find the directions `(D, rank)` of the remembered embeddings that say most about content."""
        filled = self.queue_labels >= 0
        dim = self.embedding_dim
        if int(filled.sum()) < 2 * self.basis.shape[1]:
            return torch.zeros(dim, 1, device=self.queue.device)
        embedding, content = self.queue[filled].split([dim, self.queue.shape[1] - dim], dim=1)
        return invariance.content_directions(embedding, content, _PAIR_RANK)

    def _components(self, units: Tensor) -> Tensor:
        return (bag_of_units(units, self.units) - self.centre) @ self.basis

    def _remembered(self, embedding: Tensor, said: Said) -> tuple[Tensor, Tensor, Tensor]:
        filled = self.queue_labels >= 0
        old, content = self.queue[filled].split([embedding.shape[1], self.basis.shape[1]], dim=1)
        return (
            torch.cat([embedding, old]),
            torch.cat([self._components(said.units), content]),
            torch.cat([said.labels, self.queue_labels[filled]]),
        )

    def _remember(self, embedding: Tensor, said: Said) -> None:
        fresh = torch.cat([embedding, self._components(said.units)], dim=1)
        self.queue.copy_(torch.cat([fresh, self.queue])[: len(self.queue)])
        self.queue_labels.copy_(torch.cat([said.labels, self.queue_labels])[: len(self.queue)])


def _share(task: Tensor, loss: Tensor, place: Tensor, strength: float) -> float:
    if strength == 0.0:
        return 0.0
    (wanted,) = torch.autograd.grad(task, place, retain_graph=True)
    (own,) = torch.autograd.grad(loss, place, retain_graph=True)
    return invariance.share_of_gradient(wanted, own, strength)


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """The encoder's penalty must not teach the readers: not even to read worse."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)
