"""The two-stage method under the names that its public description gives its parts.

Stage 1 trains MiO to tell bona fide from spoof; stage 2 freezes it, embeds machine speech with it, and trains a light
head for each attribute: acoustic model, vocoder, system, input type. Klein et al., "Source Tracing of Audio Deepfake
Systems", Interspeech 2024.

    train_and_save_mio_model()
    mio_model = load_frozen_mio_model()
    loader = DataLoader(MLAADDataset(train_df, root, mio_model, label_type="acoustic"), batch_size=16, shuffle=True)
    train_classification_head(classifier, loader, eval_loader)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ringtrue.data.corpora import load_corpus, load_samples
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import AudioError, CheckpointError, CorpusError
from ringtrue.evaluation.classification import ClassReport
from ringtrue.models import checkpoint
from ringtrue.models.mio import MiO
from ringtrue.tracing.attributes import attribute_named, value_of
from ringtrue.tracing.clips import Clips, thinned
from ringtrue.tracing.learning import hear, make_head, train_head, train_mio
from ringtrue.tracing.packages import fetch
from ringtrue.tracing.report import Outcome, figures, intervals, known_confusion, known_report
from ringtrue.tracing.settings import Settings, load_settings

Progress = Callable[[str], None]

_log = logging.getLogger(__name__)
CHECKPOINT = Settings.checkpoint


def train_and_save_mio_model(
    settings: Settings | str | Path | None = None, progress: Progress = _log.info
) -> Path:
    """Train stage 1, unless it has been trained already.

    Args:
        settings: Settings or their YAML file; ``two_stage.yaml`` in the current folder by default, or the defaults.
        progress: Takes a line now and then.

    Returns:
        The checkpoint. It names its front ends and does not hold them.

    Raises:
        CheckpointError: There is a checkpoint of other settings; or a front end cannot be loaded.
        CorpusError: The corpus cannot be had, or a label is missing from its train split.
    """
    settings = settings if isinstance(settings, Settings) else load_settings(settings)
    path = Path(settings.checkpoint)
    wanted = {**settings.to_dict()}
    del wanted["tracing_corpus"], wanted["checkpoint"]  # stage 1 does not depend on them
    if path.exists():
        _, card = checkpoint.load(path)
        if card.provenance.get("settings") == json.loads(json.dumps(wanted)):
            return path
        raise CheckpointError(
            f"{path} was trained with other settings: delete it to train again, or name another `checkpoint`"
        )
    fetch((choice.name for choice in settings.front_ends), progress)
    trials = thinned(
        [t for t in load_corpus(settings.countermeasure_corpus, progress) if t.split == "train"],
        settings.most_clips,
    )
    if len({trial.label for trial in trials}) < 2:
        raise CorpusError(
            f"{settings.countermeasure_corpus}: stage 1 needs bona fide and spoof training clips; it has "
            f"{sum(trial.is_bonafide for trial in trials)} bona fide of {len(trials)}"
        )
    clips = Clips(trials, settings.front_ends, load_samples, progress)
    labels = np.array([int(trial.is_bonafide) for trial in clips.trials])
    model = train_mio(
        clips,
        np.arange(len(clips)),
        labels,
        2,
        fusion=settings.fusion,  # type: ignore[arg-type]
        epochs=settings.epochs,
        seed=settings.seed,
        progress=progress,
    )
    card = checkpoint.ModelCard(
        "mio",
        "mio",
        {"front_ends": [vars(choice) for choice in clips.choices], "fusion": settings.fusion},
        trained_on={"fingerprint": fingerprint(trials), "clips": len(clips)},
        provenance={"settings": wanted},
    )
    checkpoint.save(path, model, card)
    return path


def load_frozen_mio_model(path: str | Path = CHECKPOINT) -> MiO:
    """Load stage 1 as a feature extractor.

    Args:
        path: What `train_and_save_mio_model` gave.

    Returns:
        The model in evaluation mode, without gradients.

    Raises:
        CheckpointError: There is no such checkpoint, or it is no MiO.
    """
    model, card = checkpoint.load(path)
    if not isinstance(model, MiO):
        raise CheckpointError(f"{path} holds a {card.architecture}; a mio is needed")
    fetch((choice.name for choice in model.choices), _log.info)
    return model.eval().requires_grad_(False)


def extract_features_with_mio(
    mio_model: MiO, audio: Sequence[str | Path | Trial], progress: Progress = _log.info
) -> Tensor:
    """Embed recordings with the frozen model; front-end features come from the cache where they are in it.

    Args:
        mio_model: What `load_frozen_mio_model` gave.
        audio: Paths or trials.
        progress: Takes a line now and then.

    Returns:
        `(n, 128)`.

    Raises:
        AudioError: A recording cannot be read.
    """
    trials = [one if isinstance(one, Trial) else Trial(str(one), str(one), "spoof") for one in audio]
    clips = Clips(trials, mio_model.choices, _strictly, progress)
    embeddings, _ = hear(mio_model, clips, np.arange(len(clips)))
    return torch.from_numpy(embeddings)


class MLAADDataset(Dataset[tuple[Tensor, int]]):
    """Embeddings and classes of machine speech.

    Clips whose class is not known, or that cannot be read, are left out, and `progress` is told.

    Args:
        df: A data frame of ``simpler_meta.csv`` (``file_path``, ``model``, ``architecture``), rows like its rows, or
            trials.
        mlaad_root_dir: Folder that ``file_path`` is relative to.
        mio_model: What `load_frozen_mio_model` gave.
        label_type: ``acoustic``, ``vocoder``, ``system`` or ``input``.
        progress: Takes a line now and then.

    Attributes:
        classes: Names of the classes; item labels are places in it.

    Raises:
        CorpusError: No clip is left, or a row lacks a column.
    """

    def __init__(
        self,
        df: Any,
        mlaad_root_dir: str | Path,
        mio_model: MiO,
        label_type: str = "acoustic",
        progress: Progress = _log.info,
    ):
        attribute = attribute_named(label_type)
        trials = [_as_trial(row, Path(mlaad_root_dir)) for row in _rows(df)]
        labelled = [(trial, value) for trial in trials if (value := value_of(trial, attribute))]
        if len(labelled) < len(trials):
            progress(
                f"UNKNOWN LABEL: {len(trials) - len(labelled)} of {len(trials)} clips have no known {attribute}"
            )
        if not labelled:
            raise CorpusError(f"none of {len(trials)} clips has a known {attribute}")
        clips = Clips([trial for trial, _ in labelled], mio_model.choices, load_samples, progress)
        class_of = {trial.id: value for trial, value in labelled}
        values = [class_of[trial.id] for trial in clips.trials]
        self.classes = tuple(sorted(set(values)))
        self.labels = np.array([self.classes.index(value) for value in values], dtype=np.int64)
        self.embeddings = torch.from_numpy(hear(mio_model, clips, np.arange(len(clips)))[0])
        self.clusters = [trial.source_utterance or trial.id for trial in clips.trials]

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        """Give the embedding `(128,)` and the class of a clip."""
        return self.embeddings[number], int(self.labels[number])

    def classifier(self, seed: int = 0) -> nn.Module:
        """Make a fresh light head for these classes."""
        return make_head(self.embeddings.shape[1], len(self.classes), seed)


@dataclass(frozen=True)
class TracingReport:
    """How well a head names a class.

    Attributes:
        accuracy: Share of clips called right, of those whose class was trained on.
        precision: Macro average over the classes that occur.
        recall: Macro average.
        f1: Macro average.
        intervals: 95 % by figure, from drawing source utterances with replacement.
        per_class: Precision, recall and F1 of each class.
        classes: Rows and columns of `confusion`.
        confusion: Counts, truth in rows.
        clips: How many clips were judged.
        untrained: Classes that were judged without having been trained on; their clips are not in any figure here.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    intervals: Mapping[str, tuple[float, float]]
    per_class: ClassReport
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    clips: int
    untrained: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in a few lines."""
        lines = [
            f"{name:10} {100 * getattr(self, name):5.1f} %  [{100 * low:.1f}, {100 * high:.1f}]"
            for name, (low, high) in self.intervals.items()
        ]
        lines += [
            f"  {name:28} precision {p:.2f}  recall {r:.2f}  F1 {f:.2f}  ({n} clips)"
            for name, p, r, f, n in zip(
                self.per_class.classes,
                self.per_class.precision,
                self.per_class.recall,
                self.per_class.f1,
                self.per_class.support,
                strict=True,
            )
        ]
        if self.untrained:
            lines.append(f"not in train, left out: {', '.join(self.untrained)}")
        return "\n".join(lines)


def train_classification_head(
    classifier: nn.Module,
    train_loader: DataLoader[Any],
    eval_loader: DataLoader[Any],
    epochs: int = 40,
    seed: int = 0,
    progress: Progress = _log.info,
) -> TracingReport:
    """Train a head on frozen embeddings, and evaluate it.

    Args:
        classifier: Maps `(B, 128)` to logits, one a class of the training data; trained in place.
        train_loader: Of an `MLAADDataset`; its batch size is used.
        eval_loader: Of an `MLAADDataset` of the same label type. It is not looked at before training is over.
        epochs: Times through the training clips, classes drawn evenly.
        seed: Seed of dropout and draws.
        progress: Takes a line an epoch.

    Returns:
        How well it does on the evaluation clips.

    Raises:
        CorpusError: The head has another number of classes than the training data, or nothing can be judged.
    """
    data = _dataset(train_loader)
    outputs = classifier(data.embeddings[:2]).shape[1]
    if outputs != len(data.classes):
        raise CorpusError(
            f"the classifier has {outputs} outputs and the training data {len(data.classes)} classes "
            f"({', '.join(data.classes[:5])}{' …' if len(data.classes) > 5 else ''}); "
            "`dataset.classifier()` makes a fit one"
        )
    train_head(
        classifier,
        data.embeddings,
        data.labels,
        epochs=epochs,
        batch_size=train_loader.batch_size or 64,
        seed=seed,
        progress=progress,
    )
    return evaluate_classification_head(classifier, eval_loader, data.classes)


def evaluate_classification_head(
    classifier: nn.Module, eval_loader: DataLoader[Any], classes: Sequence[str]
) -> TracingReport:
    """Evaluate a head.

    Args:
        classifier: What `train_classification_head` trained.
        eval_loader: Of an `MLAADDataset`.
        classes: Of the *training* data, in the order of the head's outputs.

    Returns:
        Accuracy, precision, recall, F1, per class, with intervals.

    Raises:
        CorpusError: No clip is of a class that was trained on.
    """
    data = _dataset(eval_loader)
    truth = np.array([data.classes[label] for label in data.labels])
    with torch.inference_mode():
        called = np.array(classes)[classifier.eval()(data.embeddings).argmax(1).numpy()]
    known = np.flatnonzero(np.isin(truth, classes))
    untrained = tuple(sorted(set(truth) - set(classes)))
    if not len(known):
        raise CorpusError(
            f"NOT IN TRAIN: none of {len(truth)} evaluation clips is of a class that was trained on; they are of "
            f"{', '.join(untrained[:5])}, training knew {', '.join(classes[:5])}"
        )
    nothing = np.zeros(len(truth))
    outcome = Outcome(
        truth,
        called,
        tuple(classes),
        nothing,
        nothing == 0,
        nothing.astype(str),
        np.array(data.clusters),
    ).take(known)
    values = figures(outcome)
    names, confusion = known_confusion(outcome)
    return TracingReport(
        **values,
        intervals=intervals(outcome, np.random.default_rng(0), 200),
        per_class=known_report(outcome),
        classes=names,
        confusion=confusion,
        clips=len(known),
        untrained=untrained,
    )


def _strictly(trial: Trial) -> NDArray[np.float32]:
    """Read a recording; one that cannot be read ends the work instead of being left out."""
    try:
        return load_samples(trial)
    except AudioError as error:
        raise CorpusError(str(error)) from error


def _rows(df: Any) -> Iterable[Any]:
    to_dict = getattr(df, "to_dict", None)
    return to_dict("records") if callable(to_dict) else df


def _as_trial(row: Any, root: Path) -> Trial:
    if isinstance(row, Trial):
        return row
    missing = sorted({"file_path", "model"} - set(row))
    if missing:
        raise CorpusError(f"a row has the columns {sorted(row)}; it lacks {missing}: see simpler_meta.csv")
    path = str(row["file_path"]).removeprefix("./")
    name = Path(path).stem  # the same sentence has the same file name in every system's folder
    return Trial(
        id=path, audio=str(root / path), label="spoof", system=str(row["model"]), source_utterance=name
    )


def _dataset(loader: DataLoader[Any]) -> MLAADDataset:
    data = loader.dataset
    if not isinstance(data, MLAADDataset):
        raise CorpusError(f"the loader reads a {type(data).__name__}; a loader of an MLAADDataset is needed")
    return data
