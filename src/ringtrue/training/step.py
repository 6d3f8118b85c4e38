"""One batch -> one step of the encoder and of its readers: what is heard, what it costs, who learns from it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.config import RunConfig
from ringtrue.data.batches import Batch
from ringtrue.data.trials import Trial
from ringtrue.files import stable_int
from ringtrue.models.prosody_encoder import ProsodyEncoder
from ringtrue.training import invariance
from ringtrue.training.content import ContentUnits
from ringtrue.training.disentangle import Disentangler
from ringtrue.training.losses import detection_loss, distillation_loss, twin_loss
from ringtrue.training.optimise import average_into, climb, come_back
from ringtrue.training.parallel import Team
from ringtrue.training.spoken import Said, count_content, speaker_numbers

_STREAM_LOSS = 0.3  # weight of judging by one stream alone, so that each learns to
_FLAT_FROM = 0.4  # share of the run after which flat minima are looked for, in every other step
_SPAN_FRAMES = 5  # of prosody that are masked together: 0.2 s at 25 Hz
_MASKED = 0.3  # share of prosody that is masked


@dataclass(frozen=True)
class Teaching:
    """What a large teacher thinks of the training clips.

    Attributes:
        logits: Trial id to `(2,)`.
        embedding: Trial id to `(E,)`.
    """

    logits: Mapping[str, NDArray[np.float32]]
    embedding: Mapping[str, NDArray[np.float32]]


class Lesson(nn.Module):
    """The networks of a run and how one batch teaches them; only ``model`` is ever shipped.

    Args:
        config: The run.
        model: The encoder, freshly made.
        trials: The training trials.
        units: Their content units.
        team: The processes that share a batch.
        teaching: What a large teacher thinks, where one is followed.
    """

    def __init__(
        self,
        config: RunConfig,
        model: ProsodyEncoder,
        trials: Sequence[Trial],
        units: ContentUnits,
        team: Team,
        teaching: Teaching | None,
    ):
        super().__init__()
        self.config, self.team, self.teaching = config, team, teaching
        self.model = model
        statistics = count_content(units, trials)
        self._units = units
        self._speakers = dict(zip((t.id for t in trials), speaker_numbers(statistics, trials), strict=True))
        self.disentangler = Disentangler(
            config, model.evidence_dim, model.num_features, statistics, units.pooled_dim
        )
        # What helps to learn and is left behind: heads of single streams, the bottleneck's spread, the prosody task.
        self.extras = nn.ModuleDict()
        if len(model.parts) > 1:
            for index, width in enumerate(model.parts):
                self.extras[f"stream{index}"] = nn.Linear(width, model.num_classes)
        if config.training.bottleneck:
            self.extras["spread"] = nn.Linear(model.num_features, model.num_features)
        if config.training.prosody_task and model.slow is not None:
            channels = model.slow.contours.channels
            self.extras["fill_in"] = nn.Conv1d(model.slow.width, channels, 1)
        self.averaged = copy.deepcopy(model).requires_grad_(False) if config.training.average else None
        settings = config.training
        self.optimiser = torch.optim.AdamW(
            [*model.parameters(), *self.extras.parameters()],
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
        )
        self.readers_optimiser = torch.optim.AdamW(
            self.disentangler.parameters(), lr=config.adversary.learning_rate, weight_decay=1e-4
        )

    @property
    def judged(self) -> ProsodyEncoder:
        """The encoder that is validated and kept: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged

    def learn(self, batch: Batch, step: int, steps: int) -> dict[str, float] | None:
        """Take one step.

        Args:
            batch: This process's part of the batch.
            step: Number of the step, from 0.
            steps: Steps in the run.

        Returns:
            Its figures, or nothing if its loss or gradient was not finite: then nobody has learnt anything.
        """
        settings, progress = self.config.training, step / steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stable_int(self.config.seed, "readers", step))
            self.disentangler.renew(step, steps, self.readers_optimiser)
        said = self._said(batch)
        total, figures, evidence, embedding = self._losses(batch, said, step, progress)
        norm = self._backward(total)
        if not bool(torch.isfinite(norm + total.detach())):
            self.optimiser.zero_grad()
            return None
        if settings.sharpness and progress >= _FLAT_FROM and step % 2:
            left = climb(self.model, settings.sharpness)
            norm = self._backward(self._losses(batch, said, step, progress)[0])
            come_back(left)
            if not bool(torch.isfinite(norm)):
                self.optimiser.zero_grad()
                return None
        self.optimiser.step()
        figures |= self.disentangler.learn(
            evidence.detach(), embedding.detach(), said, self.readers_optimiser, settings.clip_norm
        )
        if self.averaged is not None:
            average_into(self.averaged, self.model, settings.average, step)
        figures["gradient_norm"] = float(norm)
        return figures

    def _losses(
        self, batch: Batch, said: Said, step: int, progress: float
    ) -> tuple[Tensor, dict[str, float], Tensor, Tensor]:
        """Hear a batch: the loss with all its parts, their figures, and the evidence and embedding of all clips."""
        settings, device = self.config.training, said.labels.device
        wave = torch.from_numpy(batch.wave).to(device, non_blocking=True)
        with torch.random.fork_rng(devices=[]):
            # ---- each process its part ---------------------------------------------------------------------
            torch.manual_seed(stable_int(self.config.seed, "dropout", step, self.team.rank))
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                evidence, prosody = self.model.perceive(wave)
            evidence = self.team.gather(evidence.float())
            prosody = None if prosody is None else self.team.gather(prosody.float())
            filled_in = self._prosody_task(wave, batch) if "fill_in" in self.extras else None

            # ---- every process the whole batch -------------------------------------------------------------
            torch.manual_seed(stable_int(self.config.seed, "heads", step))
            embedding = self.model.pooled(evidence, prosody)
            read = embedding
            parts: dict[str, tuple[float, Tensor]] = {}
            if "spread" in self.extras:
                log_variance = self.extras["spread"](embedding).clamp(-8.0, 4.0)
                read = embedding + torch.exp(0.5 * log_variance) * torch.randn_like(embedding)
                risen = min(1.0, max(0.0, (progress - 0.1) / 0.4))
                parts["bottleneck"] = (
                    settings.bottleneck * risen,
                    invariance.bottleneck(embedding, log_variance),
                )
            logits = self.model.head(read)
            task = detection_loss(
                logits,
                self.model.frame_head(evidence),
                said.labels,
                smoothing=settings.label_smoothing,
                frame_weight=settings.frame_loss,
            )
            if "stream0" in self.extras:
                for index, stream in enumerate(read.split(self.model.parts, dim=1)):
                    judged = self.extras[f"stream{index}"](stream)
                    parts[f"stream{index}"] = (
                        _STREAM_LOSS,
                        functional.cross_entropy(
                            judged, said.labels, label_smoothing=settings.label_smoothing
                        ),
                    )
            if filled_in is not None:
                parts["prosody_task"] = (settings.prosody_task, filled_in)
            if said.twins:
                directions = self.disentangler.content_directions()
                couples = slice(0, 2 * said.twins)
                parts["twins"] = (
                    settings.pair_loss,
                    twin_loss(logits[couples], embedding[couples], directions),
                )
            if self.teaching is not None:
                parts["distillation"] = (
                    self.config.distillation.weight,
                    self._follow(said, logits, embedding),
                )
            parts |= self.disentangler.penalties(evidence, embedding, said, task, progress)
        total = (
            task
            + torch.stack([torch.zeros_like(task), *(weight * loss for weight, loss in parts.values())]).sum()
        )
        figures = {"loss": task.item(), "total": total.item()}
        for name, (weight, loss) in parts.items():
            figures |= {name: loss.item(), f"{name}_weight": float(weight)}
        return total, figures, evidence, embedding

    def _backward(self, total: Tensor) -> Tensor:
        """Compute gradients; give their norm before it is cut."""
        self.optimiser.zero_grad()
        total.backward()
        self.team.add_gradients(self.model.perceiving())
        if "fill_in" in self.extras:
            self.team.add_gradients(self.extras["fill_in"].parameters())
        return nn.utils.clip_grad_norm_(
            [*self.model.parameters(), *self.extras.parameters()], self.config.training.clip_norm
        )

    def _said(self, batch: Batch) -> Said:
        """Gather what is known of the clips of all processes."""
        device = self.model.head.weight.device
        pooled = np.zeros((len(batch.ids), 0), dtype=np.float32)
        if self._units.pooled:
            frames = batch.units.shape[1]
            pooled = np.stack(
                [
                    self._units.pooled_over(name, int(start), frames)
                    for name, start in zip(batch.ids, batch.starts, strict=True)
                ]
            )
        speakers = np.array([self._speakers[name] for name in batch.ids], dtype=np.int64)
        together = [
            self.team.gather(torch.from_numpy(value).to(device))
            for value in (batch.label, batch.units, speakers, pooled)
        ]
        labels, units, numbers, means = together
        return Said(
            labels,
            units,
            numbers,
            means,
            self.team.gather_names(batch.ids),
            int(self.team.total(batch.twins)),
        )

    def _prosody_task(self, wave: Tensor, batch: Batch) -> Tensor:
        """Fill in masked spans of bona fide prosody from what surrounds them.

        As in masked prosody prediction for spoofing detection (ProSDD, 2026): what speech does next is learnt from
        people only, so that a machine's contours surprise.
        """
        slow = self.model.slow
        assert slow is not None
        contours = slow.contours(wave).detach()
        spans = -(-contours.shape[2] // _SPAN_FRAMES)
        hidden = torch.rand(len(wave), spans, device=wave.device) < _MASKED
        hidden = hidden.repeat_interleave(_SPAN_FRAMES, dim=1)[:, None, : contours.shape[2]]
        guess = self.extras["fill_in"](slow.listen(contours * ~hidden))
        human = torch.from_numpy(batch.label).to(wave.device).bool()[:, None, None]
        counted = (hidden & human).expand_as(contours)
        # The whole batch is the sum of its parts, each as heavy as it has frames.
        error = ((guess - contours).square() * counted).sum()
        return error / self.team.total(float(counted.sum())).clamp(min=1.0)

    def _follow(self, said: Said, logits: Tensor, embedding: Tensor) -> Tensor:
        assert self.teaching is not None
        wanted, alike = (
            torch.from_numpy(np.stack([known[name] for name in said.ids])).to(logits.device)
            for known in (self.teaching.logits, self.teaching.embedding)
        )
        return distillation_loss(logits, embedding, wanted, alike, self.config.distillation.temperature)
