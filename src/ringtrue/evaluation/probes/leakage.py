"""A frozen model and clips -> what its evidence and its embeddings give away, beside what sound itself gives away.

Five questions: the content unit of every frame; the sentence, by finding the same text in another voice; the
language; the speaker; the generator. Each is asked of the model, of the raw log-mel image, and of the same network
with random weights, which has learnt nothing and therefore hides nothing on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ringtrue.data.trials import Trial
from ringtrue.evaluation.probes.readers import Kind, halves, ratio_interval, read
from ringtrue.models.features import LogFilterbank
from ringtrue.models.registry import create
from ringtrue.windows import WINDOW, content_frames, repeat_to

Features = NDArray[np.float32]
Units = Mapping[str, NDArray[np.int16]]
_BATCH = 16
_FEWEST = 20  # clips below which a question is not asked
_ENOUGH_QUERIES = 10


@dataclass(frozen=True)
class Heard:
    """What a listener made of the clips.

    Attributes:
        frames: Of each clip `(D, L)` at 50 Hz, of its first 4 s.
        clips: `(n, D)`, one embedding a clip.
    """

    frames: list[Features]
    clips: Features


def listen(model: torch.nn.Module | None, waves: Sequence[Features]) -> Heard:
    """Let a model, or nobody, hear the first 4 s of every clip; once, for all probes.

    Args:
        model: A ringtrue model; None for the raw log-mel image, summed up by mean and deviation.
        waves: `(T,)`, each at least 400 samples.

    Returns:
        What it heard.
    """
    image = LogFilterbank("mel")
    frames: list[Features] = []
    clips: list[Features] = []
    for start in range(0, len(waves), _BATCH):
        batch = waves[start : start + _BATCH]
        with torch.inference_mode():
            sound = torch.from_numpy(np.stack([repeat_to(wave, WINDOW) for wave in batch]))
            if model is None:
                evidence = image(sound)[
                    :, 0, :, ::2
                ]  # every second frame is centred where an evidence frame is
            else:
                evidence = model.evidence(sound)  # type: ignore[operator]
                clips.append(model.pooled(evidence).numpy())  # type: ignore[operator]
        for wave, heard in zip(batch, evidence.numpy(), strict=True):
            frames.append(np.ascontiguousarray(heard[:, : content_frames(min(len(wave), WINDOW))]))
    if model is None:
        clips = [np.stack([np.concatenate([clip.mean(axis=1), clip.std(axis=1)]) for clip in frames])]
    return Heard(frames, np.concatenate(clips))


def untrained(architecture: str, arguments: Mapping[str, Any], seed: int) -> torch.nn.Module:
    """Build the same network with weights that have learnt nothing.

    Args:
        architecture: As in a model's card.
        arguments: As in a model's card.
        seed: Of the weights.

    Returns:
        The model, in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create(architecture, **arguments).eval()


def probe_leakage(
    heard: Heard, trials: Sequence[Trial], units: Units, kinds: Sequence[Kind], seed: int
) -> dict[str, Any]:
    """Ask the five questions.

    Args:
        heard: What the listener made of the clips.
        trials: The clips.
        units: Content units of some of them, by id; the question of content is asked of those.
        kinds: Probes to train.
        seed: Of halves and probes.

    Returns:
        Question -> probe -> `Reading` as plain values; ``sentence`` -> retrieval. A question that these clips
        cannot answer is left out.
    """
    answers: dict[str, Any] = {}
    known = [place for place, trial in enumerate(trials) if len(units.get(trial.id, ()))]
    if len(known) >= _FEWEST:
        targets = [_aligned(units[trials[i].id], heard.frames[i].shape[1]) for i in known]
        voices = [speaker_of(trials[i]) for i in known]
        answers["content"] = {
            kind: asdict(found)
            for kind in kinds
            if (found := read([heard.frames[i] for i in known], targets, voices, voices, kind, seed))
        }
    for question, (name_of, group_of, asked) in QUESTIONS.items():
        here = [place for place, trial in enumerate(trials) if asked(trial) and name_of(trial)]
        here = _answerable(here, trials, name_of, group_of, seed)
        if len(here) < _FEWEST:
            continue
        names = {name: number for number, name in enumerate(sorted({name_of(trials[i]) for i in here}))}
        features = [heard.clips[i][:, None] for i in here]
        numbers = [np.array([names[name_of(trials[i])]]) for i in here]
        groups, voices = [group_of(trials[i]) for i in here], [speaker_of(trials[i]) for i in here]
        found_by = {
            kind: asdict(found)
            for kind in kinds
            if kind != "recurrent" and (found := read(features, numbers, groups, voices, kind, seed))
        }
        if found_by:
            answers[question] = found_by
    if sentence := retrieve(heard.clips, trials, seed):
        answers["sentence"] = sentence
    return answers


def speaker_of(trial: Trial) -> str:
    """Give the voice of a trial: its speaker, else its generator, else itself."""
    return trial.speaker or trial.system or trial.id


def text_of(trial: Trial) -> str:
    """Give what is said in a trial: its words, else the recording that it was made from, else itself."""
    words = " ".join(trial.transcript.lower().split())
    return words or trial.source_utterance or trial.id


Name = Callable[[Trial], str]
QUESTIONS: dict[str, tuple[Name, Name, Callable[[Trial], bool]]] = {
    # question: what is named, what the halves must not share, of which trials
    "language": (lambda trial: trial.language, speaker_of, lambda trial: True),
    "speaker": (lambda trial: trial.speaker, text_of, lambda trial: True),
    "generator": (lambda trial: trial.system, text_of, lambda trial: not trial.is_bonafide),
}


def retrieve(clips: Features, trials: Sequence[Trial], seed: int) -> dict[str, Any] | None:
    """Find, for each clip, the nearest clip in another voice: does it say the same?

    Args:
        clips: `(n, D)` embeddings; compared by cosine after standardisation.
        trials: The clips.
        seed: Of the interval's draws.

    Returns:
        ``recall_at_1`` with ``low`` and ``high``, ``chance`` (drawing from the same candidates blindly) and
        ``queries``; None where fewer than 10 clips have their text in another voice.
    """
    texts, voices = np.array([text_of(t) for t in trials]), np.array([speaker_of(t) for t in trials])
    scaled = (clips - clips.mean(axis=0)) / (clips.std(axis=0) + 1e-6)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True) + 1e-9
    hits, chances, asked = [], [], []
    for place in range(len(trials)):
        others = np.flatnonzero(voices != voices[place])
        same = texts[others] == texts[place]
        if not same.any():
            continue
        hits.append(float(same[np.argmax(scaled[others] @ scaled[place])]))
        chances.append(float(same.mean()))
        asked.append(voices[place])
    if len(hits) < _ENOUGH_QUERIES:
        return None
    low, high = ratio_interval(np.array(hits), np.ones(len(hits)), asked, np.random.default_rng(seed))
    return {
        "recall_at_1": float(np.mean(hits)),
        "low": low,
        "high": high,
        "chance": float(np.mean(chances)),
        "queries": len(hits),
    }


def normalised(answers: Mapping[str, Any], raw: Mapping[str, Any], kind: Kind = "mlp") -> dict[str, float]:
    """Place each leak between what guessing gives (0) and what the log-mel image gives (1).

    Args:
        answers: What `probe_leakage` found of a model.
        raw: The same of the log-mel image.
        kind: Probe whose accuracies are compared.

    Returns:
        Question -> share; above 1 where the model tells more than the image.
    """
    shares = {}
    for question in answers.keys() & raw.keys() - {"sentence"}:
        ours, theirs = answers[question].get(kind), raw[question].get(kind)
        if ours and theirs and theirs["accuracy"] > theirs["majority"]:
            shares[question] = (ours["accuracy"] - ours["majority"]) / (
                theirs["accuracy"] - theirs["majority"]
            )
    return shares


def _aligned(units: NDArray[np.int16], frames: int) -> NDArray[np.int64]:
    """Cut units to the frames that were heard, or fill up with none."""
    out = np.full(frames, -1, dtype=np.int64)
    count = min(frames, len(units))
    out[:count] = units[:count]
    return out


def _answerable(
    places: Sequence[int], trials: Sequence[Trial], name_of: Name, group_of: Name, seed: int
) -> list[int]:
    """Keep the clips whose class occurs in both halves: of another class nothing could be learnt."""
    half = halves([group_of(trials[place]) for place in places], seed)
    sides: dict[str, set[int]] = {}
    for place, side in zip(places, half, strict=True):
        sides.setdefault(name_of(trials[place]), set()).add(int(side))
    return [place for place in places if len(sides[name_of(trials[place])]) == 2]
