"""The steps that commands are made of: a corpus screened, trained on, scored; each goes on where it stopped.

What a step keeps is filed under the `fingerprint` of the trials that it was made from, so that nothing is reused
for other recordings.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ringtrue import __version__
from ringtrue.data.corpora import load_piece, load_samples
from ringtrue.data.corpora.rows import fault_of
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import CheckpointError, ConfigError, CorpusError
from ringtrue.evaluation.scores import Scores, read_scores, scores_of_trials, write_scores
from ringtrue.evaluation.scoring import score_resumably
from ringtrue.files import cache_dir, locked, sha256_file, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ringtrue.config import ContentConfig, RunConfig
    from ringtrue.data.batches import Cut, Load
    from ringtrue.inference.runtime import Detector
    from ringtrue.models.frontend import FrontEnd
    from ringtrue.training.content import ContentUnits

Progress = Callable[[str], None]
NOTHING: Mapping[str, Any] = MappingProxyType({})
MOST_FAILURES = 0.05  # share of recordings that may be unreadable before figures mean something else
_SHOWN = 20  # of these that are told before it is refused
CONTENT_BLIND = "content-blind"
"""Stands where a model's name may: the classifier that hears no speech, for the floor of an evaluation."""
PACKAGED_TEACHER = "whisper-base-from-packages"
"""A teacher that needs no hub: Whisper-base from the package registry, verified by its hash; log-mel without it."""


def make_vocoder(
    kind: str, steps: int, seed: int, trials: Sequence[Trial], run: Path, progress: Progress
) -> Path:
    """Train a small neural vocoder on the people of a corpus; its discriminator takes part in three quarters of it.

    Args:
        kind: ``"hifigan"``, ``"istft"`` or ``"nsf"``.
        steps: Batches in all.
        seed: Draws weights, pieces and noise.
        trials: The corpus; only people of its train split are heard.
        run: Folder of the run; where there is one it goes on.
        progress: Told of every saved state.

    Returns:
        The vocoder's file.

    Raises:
        ConfigError: A value is not accepted, or the folder holds another run.
        CorpusError: Nobody speaks in the train split.
    """
    from ringtrue.training.vocoder import VocoderSettings, train_vocoder

    settings = VocoderSettings(kind, steps, adversary_from=steps // 4, seed=seed)
    return train_vocoder(settings, trials, run, progress)


def screen(trials: Sequence[Trial], progress: Progress) -> list[Trial]:
    """Decode every recording once and leave out what cannot be read to its end, so that no later step has to.

    Recordings on the hub are not fetched for it: they are checked as they are listened to.

    Args:
        trials: The corpus.
        progress: Takes one line for each that is left out, or for the first where it is refused; and some between.

    Returns:
        The readable trials, in order.

    Raises:
        CorpusError: More than `MOST_FAILURES` of them cannot be read.
    """
    path = cache_dir() / "screened" / f"{fingerprint(trials)}.json"
    if path.exists():
        broken = json.loads(path.read_text(encoding="utf-8"))
    else:
        broken = {}
        for count, trial in enumerate(trials, start=1):
            if fault := fault_of(trial):
                broken[trial.id] = fault
            if count % 2000 == 0:
                progress(f"screened {count} of {len(trials)} recordings, {len(broken)} unreadable")
        write_json(path, broken)
    faults = list(broken.values())
    too_many = len(faults) > MOST_FAILURES * len(trials)
    for reason in faults[:_SHOWN] if too_many else faults:
        progress(f"left out: {reason}")
    refuse_too_many(faults, len(trials))
    return [trial for trial in trials if trial.id not in broken]


def prepare_units(config: ContentConfig, trials: Sequence[Trial], progress: Progress) -> ContentUnits:
    """Give the train and dev clips their content units, and mean vectors where asked for, from the cache if there.

    Args:
        config: Which teacher, layers and how many units; whether they are exchanged between clips, as a placebo.
        trials: The corpus; test splits are left alone.
        progress: Takes one line now and then.

    Returns:
        The units.

    Raises:
        CheckpointError: The teacher cannot be loaded.
        ConfigError: It has no such layer.
        CorpusError: There is too little bona fide training speech.
    """
    from ringtrue.training.content import make_units

    teacher, layer = _teacher(config, progress)
    units = make_units(
        [trial for trial in trials if trial.split in ("train", "dev")],
        load_samples,
        teacher,
        cache_dir() / "units",
        layer=layer,
        count=config.units,
        fit_clips=config.fit_clips,
        seed=0,
        pooled_layer=config.pooled_layer,
        progress=progress,
    )
    return units.shuffled(seed=0) if config.shuffled else units


def _teacher(config: ContentConfig, progress: Progress) -> tuple[FrontEnd, int]:
    """Load the teacher; the packaged one may be gone, and then there is one that needs no weights."""
    from ringtrue.data.corpora.starter.packages import whisper_base
    from ringtrue.models.frontends import LOG_MEL, load_frontend

    if config.teacher != PACKAGED_TEACHER:
        return load_frontend(config.teacher), config.layer
    try:
        return load_frontend(str(whisper_base(cache_dir(), progress))), config.layer
    except (CorpusError, CheckpointError) as error:
        progress(f"no Whisper encoder ({error}); content units are clustered on log-mel frames instead")
        return load_frontend(LOG_MEL), 0


def train_and_export(
    config: RunConfig,
    trials: Sequence[Trial],
    units: ContentUnits,
    run: Path,
    progress: Progress,
    *,
    measured: bool = True,
) -> Path:
    """Train one model in its run folder and export the best checkpoint.

    Args:
        config: The resolved configuration.
        trials: The corpus.
        units: Content units of the train and dev clips.
        run: Run folder.
        progress: Takes one line an epoch.
        measured: Whether the export shall hold what `packing.measure` says of it, which a verdict and a stream need,
            and scores do not.

    Returns:
        The best checkpoint as ONNX; the safetensors file lies beside it. Of processes that torchrun started, the first
        one writes both.

    Raises:
        ConfigError: Another process trains in this folder.
    """
    from ringtrue.data.augment import augment
    from ringtrue.inference.export import export_onnx
    from ringtrue.packing import pack, speech_windows
    from ringtrue.training.parallel import join_team
    from ringtrue.training.train import BEST, train

    heard = [trial for trial in trials if trial.split == "train"]
    trained_on = {
        "corpora": sorted({trial.corpus for trial in heard}),
        "fingerprint": fingerprint(heard),
        "licences": sorted({trial.licence for trial in heard} - {""}),
        "systems": sorted({trial.system for trial in heard} - {""}),
        "clips": len(heard),
    }
    load: Load = load_samples
    cut: Cut = load_piece
    if config.training.cached:
        from ringtrue.data.batches import pieces_of
        from ringtrue.data.wave_store import store_waves

        used = [trial for trial in trials if trial.split in ("train", "dev")]
        load = store_waves(cache_dir() / "waves", used, load_samples, progress).load
        cut = pieces_of(load)
    teaching = None
    if config.distillation.weight:
        from ringtrue.training.distil import teach

        teaching = teach(
            heard,
            load,
            _teacher(config.content, progress)[0],
            units,
            cache_dir() / "teachers",
            layer=config.distillation.layer,
            erase=config.distillation.erase,
            progress=progress,
        )
    best = run / BEST
    exported = best.with_suffix(".onnx")
    team = join_team()
    with _alone_in(run) if team.leads else contextlib.nullcontext():
        train(
            config,
            trials,
            load,
            units,
            run,
            cut=cut,
            augment=augment,
            teaching=teaching,
            trained_on=trained_on,
            progress=progress,
        )
        if team.leads and not _is_export_of(best, exported):
            if measured:
                pack(best, exported, "onnx", trials, load, progress)
            else:
                export_onnx(best, exported, speech=speech_windows(heard, load))
    return exported


@contextlib.contextmanager
def _alone_in(run: Path) -> Iterator[None]:
    with locked(run, ".training.lock", wait=False) as is_ours:
        if not is_ours:
            raise ConfigError(f"another process is training in {run}; give another folder, or wait for it")
        yield


def _is_export_of(checkpoint: Path, exported: Path) -> bool:
    from ringtrue.inference.runtime import Detector

    try:
        return bool(Detector(exported).card["checkpoint_sha256"] == sha256_file(checkpoint))
    except CheckpointError:
        return False


def score_split(
    detector: Detector,
    trials: Sequence[Trial],
    out: Path,
    progress: Progress,
    *,
    trim: bool = False,
    noted: Mapping[str, Any] = NOTHING,
) -> tuple[Scores, list[str]]:
    """Score trials into a file, or read the file if this model has scored these recordings before.

    Args:
        detector: The model.
        trials: What to score.
        out: The scores file. A journal beside it lets a killed run go on.
        progress: Takes one line now and then.
        trim: Cut the silence before and after the speech first, see `load_trimmed`.
        noted: What is known of the trials, kept with the scores: their ``audit`` in one line; ``leaks``, what they
            share with what models are trained on, for which they are then judged only if that is forced.

    Returns:
        The scores of the readable trials, and one message for each of the others.

    Raises:
        CorpusError: There is nothing to score, or more than `MOST_FAILURES` of it cannot be read.
    """
    if not trials:
        raise CorpusError("no trials to score: the corpus has none in this split")
    load, name = (
        (load_trimmed, f"{fingerprint(trials)} trimmed") if trim else (load_samples, fingerprint(trials))
    )
    key = {"model_sha256": detector.sha256, "trials": name, "leaks": noted.get("leaks")}
    journal = out.with_name(f".{out.stem}-{detector.sha256[:16]}-{name.replace(' ', '-')}.jsonl")
    if (kept := _kept_scores(out, key)) is not None:
        journal.unlink(missing_ok=True)  # of a run that was killed when all was written
        return kept, list(kept.metadata["unreadable"])
    scored: dict[str, float] = {}
    errors: list[str] = []
    for outcome in score_resumably(detector.score_windows, trials, load, journal):
        if outcome.error:
            errors.append(outcome.error)
        else:
            scored[outcome.trial.id] = outcome.score
        if (len(scored) + len(errors)) % 500 == 0:
            progress(f"scored {len(scored)} of {len(trials)} trials, {len(errors)} unreadable")
    refuse_too_many(errors, len(trials))
    readable = [trial for trial in trials if trial.id in scored]
    made = {**provenance(detector), "trials": name, "unreadable": errors, **noted}
    scores = scores_of_trials(readable, [scored[trial.id] for trial in readable], made)
    write_scores(out, scores)
    journal.unlink(missing_ok=True)  # another process may have finished the same work
    return scores, errors


def load_trimmed(trial: Trial) -> NDArray[np.float32]:
    """Read a trial's recording without the silence before and after the speech.

    How much silence there is gives the label away in several corpora (Müller et al., "Speech is Silver, Silence is
    Golden", 2021), so a figure on trimmed recordings stands beside the one on whole ones.

    Args:
        trial: Any trial.

    Returns:
        `(T,)` float32, 16 kHz; the whole recording where none of it is speech.

    Raises:
        AudioError: It cannot be read as audio.
    """
    from ringtrue.data.corpora.starter.harmonise import trim

    samples = load_samples(trial)
    speech = trim(samples)
    return speech if speech.size else samples


def content_blind_scores(
    trials: Sequence[Trial],
    judged: Sequence[Trial],
    out: Path,
    progress: Progress,
    trim: bool = False,
    noted: Mapping[str, Any] = NOTHING,
) -> Scores:
    """Score trials by their surface alone, into a file, as `score_split` does with a model.

    Args:
        trials: The corpus, whose training split the classifier learns from.
        judged: What to score.
        out: The scores file.
        progress: Takes one line now and then.
        trim: Of what is judged, cut the silence before and after the speech.
        noted: As for `score_split`.

    Returns:
        The scores.

    Raises:
        CorpusError: There is nothing to judge, or a label is missing from the training split.
    """
    from ringtrue.data import audit, surface

    heard = [trial for trial in trials if trial.split == "train"]
    if not judged:
        raise CorpusError("no trials to judge: the corpus has no test split")
    made = {"model": "random forest on surface features", "trials": fingerprint([*heard, *judged])}
    made |= {"judged": "trimmed"} if trim else {}
    if (kept := _kept_scores(out, {**made, "leaks": noted.get("leaks")})) is not None:
        return kept
    known = surface.measure(heard, load_samples, progress)
    asked = surface.measure(judged, load_trimmed if trim else load_samples, progress)
    floor = audit.content_blind_floor(heard, known, asked)
    scores = scores_of_trials(judged, floor.tolist(), {**made, **noted})
    write_scores(out, scores)
    return scores


def provenance(detector: Detector) -> dict[str, str]:
    """Say how scores came about, for the comment line of their file."""
    from ringtrue.inference.session import import_onnxruntime

    return {
        "model": detector.card["name"],
        "model_sha256": detector.sha256,
        "decoder": decoder_name(),
        "runtime": f"onnxruntime {import_onnxruntime().__version__}",
        "ringtrue": __version__,
        "command": shlex.join(["ringtrue", *sys.argv[1:]]),
    }


def decoder_name() -> str:
    """Say what turns recordings into samples."""
    import soundfile
    import soxr

    return f"soundfile {soundfile.__version__}, soxr {soxr.__version__} HQ to 16 kHz mono"


def _kept_scores(path: Path, made: Mapping[str, Any]) -> Scores | None:
    """Read a scores file if it was made in just this way; what is empty need not be said."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    scores = read_scores(path)
    said = scores.metadata
    return (
        scores if all((said.get(name) or None) == (value or None) for name, value in made.items()) else None
    )


def refuse_too_many(errors: Sequence[str], count: int) -> None:
    """Stop where so much cannot be read that figures would mean something else.

    Args:
        errors: One message for each unreadable recording.
        count: Recordings in all.

    Raises:
        CorpusError: More than `MOST_FAILURES` of them cannot be read.
    """
    if len(errors) > MOST_FAILURES * count:
        raise CorpusError(
            f"{len(errors)} of {count} recordings cannot be read, more than {MOST_FAILURES:.0%}; "
            f"the first: {errors[0]}"
        )
