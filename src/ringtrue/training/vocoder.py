"""People's recordings -> a small neural vocoder, for the zoo: spectra first, then a discriminator as well.

A run can be killed and goes on from its last state to the same bits: what a step hears is a function of the seed and of
its number. It hears bona fide recordings of the train split and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.data.corpora import load_piece
from ringtrue.data.corpora.zoo.speech import HOP as PITCH_HOP
from ringtrue.data.corpora.zoo.speech import RATE_HZ, track_pitch
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import AudioError, ConfigError, CorpusError
from ringtrue.files import locked, write_json
from ringtrue.training import state
from ringtrue.vocoders import stored
from ringtrue.vocoders.generators import FFT, HOP, LogMel, create

Samples = NDArray[np.float32]

_LEVEL = 0.05  # RMS of a piece: -26 dB, as the zoo's clips
_RESOLUTIONS = (512, 1024, 2048)  # transform lengths of the spectral loss
_TRIES = 20  # recordings in a row that may be too short, silent or unreadable


@dataclass(frozen=True)
class VocoderSettings:
    """How a vocoder is trained.

    Attributes:
        kind: A key of `ringtrue.vocoders.generators.KINDS`.
        steps: Batches in all.
        adversary_from: Step from which the discriminator takes part.
        batch: Pieces in a batch.
        piece_s: Length of a piece.
        learning_rate: Of both optimisers.
        checkpoint_steps: Steps from one saved state to the next.
        seed: Draws weights, pieces and noise.
    """

    kind: str
    steps: int = 20_000
    adversary_from: int = 5_000
    batch: int = 8
    piece_s: float = 0.75
    learning_rate: float = 4e-4
    checkpoint_steps: int = 500
    seed: int = 0


def train_vocoder(
    settings: VocoderSettings, trials: Sequence[Trial], run: Path, say: Callable[[str], None]
) -> Path:
    """Train a vocoder, or go on where a run stopped.

    Args:
        settings: What and how.
        trials: A corpus; only bona fide trials of its train split are heard.
        run: Folder of the run: ``vocoder.json``, ``state.safetensors`` and at last ``<kind>.safetensors``.
        say: Told of every saved state.

    Returns:
        The vocoder's file.

    Raises:
        ConfigError: The kind is unknown, a setting is out of range, or the folder holds another run.
        CorpusError: Nobody speaks in the train split.
        CheckpointError: The saved states are damaged.
    """
    people = [trial for trial in trials if trial.is_bonafide and trial.split == "train"]
    if not people:
        raise CorpusError(
            "the corpus has no bona fide trials in its train split, and a vocoder learns from those"
        )
    _check(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        generator, critic = create(settings.kind), Critic()
    with locked(run, ".training.lock", wait=False) as ours:
        if not ours:
            raise ConfigError(f"another process is training in {run}; give another folder")
        _claim(run, {**asdict(settings), "people": fingerprint(people)})
        _train(settings, people, generator, critic, run, say)
        target = run / f"{settings.kind}.safetensors"
        stored.save(
            target, generator, settings.kind, {"steps": settings.steps, "people": fingerprint(people)}
        )
    return target


def _train(
    settings: VocoderSettings,
    people: Sequence[Trial],
    generator: nn.Module,
    critic: nn.Module,
    run: Path,
    say: Callable[[str], None],
) -> None:
    builder = torch.optim.AdamW(generator.parameters(), settings.learning_rate, betas=(0.8, 0.99))
    judge = torch.optim.AdamW(critic.parameters(), settings.learning_rate, betas=(0.8, 0.99))
    players: dict[str, state.Player] = {
        "generator": generator, "critic": critic, "builder": builder, "judge": judge,
    }  # fmt: skip
    file, begun = run / "state.safetensors", 0
    if (saved := state.read(file, say)) is not None:
        state.restore(saved, players)
        begun = int(saved.counters["step"])
        say(f"going on from step {begun}")
    mel, heard = LogMel(), 0.0
    for step in range(begun, settings.steps):
        wave, pitch_hz, noise = _batch(people, settings, step)
        made = generator(mel(wave), pitch_hz, noise)
        loss = spectral_loss(made, wave)
        heard += loss.item()
        if step >= settings.adversary_from:
            loss = loss + _persuasion(critic, made, wave)
        _step(builder, loss)
        if step >= settings.adversary_from:
            _step(judge, _judgement(critic, made.detach(), wave))
        done = step + 1
        if done % settings.checkpoint_steps == 0 or done == settings.steps:
            state.save(file, players, {"step": done})
            count = (done - 1) % settings.checkpoint_steps + 1
            say(f"step {done} of {settings.steps} | spectral loss {heard / count:.3f}")
            heard = 0.0


class Critic(nn.Module):
    """Tells waves of people from made ones at three time scales, as MelGAN's discriminators do.

    Kumar et al., "MelGAN" (NeurIPS 2019), arXiv:1910.06711.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_Scale() for _ in range(3))

    def forward(self, wave: Tensor) -> list[list[Tensor]]:
        """Judge.

        Args:
            wave: `(B, T)`.

        Returns:
            For each scale the activations of its layers; the last, `(B, 1, l)`, are the judgements: 1 for people.
        """
        wave = wave[:, None]
        return [
            scale(functional.avg_pool1d(wave, 2**number) if number else wave)
            for number, scale in enumerate(self.scales)
        ]


class _Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv1d(1, 16, 15, padding=7),
                nn.Conv1d(16, 32, 21, stride=4, groups=4, padding=10),
                nn.Conv1d(32, 64, 21, stride=4, groups=8, padding=10),
                nn.Conv1d(64, 64, 5, padding=2),
                nn.Conv1d(64, 1, 3, padding=1),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for layer in self.layers:
            x = layer(functional.leaky_relu(x, 0.2) if found else x)
            found.append(x)
        return found


def spectral_loss(made: Tensor, wave: Tensor) -> Tensor:
    """Compare spectra at several resolutions: how far they converge, and how far their logarithms lie apart.

    Yamamoto, Song and Kim, "Parallel WaveGAN" (ICASSP 2020), arXiv:1910.11480.

    Args:
        made: `(B, T)`.
        wave: `(B, T)`, what it should be.

    Returns:
        A number, 0 for equal spectra.
    """
    total = made.new_zeros(())
    for size in _RESOLUTIONS:
        window = torch.hann_window(size, device=made.device)
        ours, theirs = (
            torch.stft(x, size, size // 4, window=window, return_complex=True).abs().clamp(min=1e-4)
            for x in (made, wave)
        )
        convergence = torch.linalg.vector_norm(theirs - ours) / torch.linalg.vector_norm(theirs)
        total = total + convergence + functional.l1_loss(ours.log(), theirs.log())
    return total / len(_RESOLUTIONS)


def _persuasion(critic: nn.Module, made: Tensor, wave: Tensor) -> Tensor:
    """Loss of a generator that is to be taken for people, and to look like them inside of the critic."""
    with torch.no_grad():
        wanted = critic(wave)
    loss = made.new_zeros(())
    for ours, theirs in zip(critic(made), wanted, strict=True):
        loss = loss + (ours[-1] - 1).square().mean()
        for own, other in zip(ours[:-1], theirs[:-1], strict=True):
            loss = loss + functional.l1_loss(own, other)
    return loss / len(wanted)


def _judgement(critic: nn.Module, made: Tensor, wave: Tensor) -> Tensor:
    """Loss of a critic by least squares (Mao et al., 2017)."""
    people, machines = critic(wave), critic(made)
    loss = made.new_zeros(())
    for human, machine in zip(people, machines, strict=True):
        loss = loss + (human[-1] - 1).square().mean() + machine[-1].square().mean()
    return loss


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], 5.0)
    optimiser.step()


def _batch(people: Sequence[Trial], settings: VocoderSettings, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw the pieces of a step -> waves `(B, T)`, pitch `(B, L)`, noise `(B, T)`."""
    rng = np.random.default_rng([settings.seed, step])
    count = round(settings.piece_s * RATE_HZ / HOP)
    waves = np.stack([_piece(people, count * HOP, rng) for _ in range(settings.batch)])
    places = (np.arange(count) * HOP + HOP // 2) // PITCH_HOP
    pitch_hz = np.stack([track_pitch(wave)[places] for wave in waves]).astype(np.float32)
    noise = rng.standard_normal(waves.shape, dtype=np.float32)
    return torch.from_numpy(waves), torch.from_numpy(pitch_hz), torch.from_numpy(noise)


def _piece(people: Sequence[Trial], length: int, rng: np.random.Generator) -> Samples:
    """Draw a piece of a recording, `(length,)`, at `_LEVEL`; a shorter recording is padded with silence."""
    for _ in range(_TRIES):
        trial, share = people[int(rng.integers(len(people)))], rng.random()

        def place(count: int, share: float = share) -> tuple[int, int]:
            start = int(share * max(0, count - length))
            return start, min(count, start + length)

        try:
            wave = load_piece(trial, place)
        except AudioError:
            continue
        level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
        if level > 1e-3:
            return np.pad((_LEVEL / level * wave).astype(np.float32), (0, length - len(wave)))
    raise CorpusError(f"{_TRIES} recordings in a row, the last {trial.audio}, are silent or cannot be read")


def _check(settings: VocoderSettings) -> None:
    least = {
        "steps": 1, "adversary_from": 0, "batch": 1, "piece_s": 2 * FFT / RATE_HZ, "learning_rate": 1e-8,
        "checkpoint_steps": 1,
    }  # fmt: skip
    for name, low in least.items():
        if (value := getattr(settings, name)) < low:
            raise ConfigError(f"{name} is {value}; accepted: {low:g} and more")


def _claim(run: Path, identity: dict[str, object]) -> None:
    """Write what a run is, or refuse a folder that holds another."""
    file = run / "vocoder.json"
    if not file.exists():
        write_json(file, identity)
        return
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        kept = {}
    if kept != identity:
        other = sorted(name for name in identity if kept.get(name) != identity[name])
        raise ConfigError(f"{run} holds a run with another {', '.join(other)}; give another folder")
