"""A trial -> what a worker finds out about it: a detector's score, or the features of a frozen front end.

A result depends on the trial alone: not on its neighbours, its place, or the machine's number of cores. That is what
makes the engines agree to the bit, and what lets a run go on from half a folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ringtrue import __version__
from ringtrue.data.corpora import load_samples
from ringtrue.data.trials import Trial
from ringtrue.errors import CheckpointError, RingtrueError
from ringtrue.evaluation.scoring import score_trials
from ringtrue.pipeline import decoder_name, provenance

if TYPE_CHECKING:
    from ringtrue.inference.runtime import Detector
    from ringtrue.models.frontend import FrontEnd, FrontEndChoice

Cells = Mapping[str, Any]
"""What is found out about a trial: a value for each column of the work, or under ``error`` why there is none."""

_TIMEOUT_S = 600.0  # for one recording


class Work(Protocol):
    """What is done with every trial: a `ringtrue.workers.Job` that says what comes of it.

    Attributes:
        columns: Name of each cell: pyarrow's name of its type.
        made_by: Everything that the cells depend on besides the trial; plain values.
    """

    columns: ClassVar[Mapping[str, str]]

    @property
    def made_by(self) -> Mapping[str, Any]:
        """See above."""

    @property
    def timeout_s(self) -> float | None:
        """Longest time that one trial may take."""

    def load(self) -> Callable[[Trial], Cells]:
        """Load what is needed, in a worker."""

    def failed(self, trial: Trial, reason: str, /) -> Cells:
        """Give the cells of a trial that brought its worker down."""


@dataclass(frozen=True)
class Scoring:
    """The raw score of a detector, as `score_trials` gives it.

    Attributes:
        name: File name of the model.
        content: The ``.onnx`` file itself: other machines need no copy of it.
        made_by: The model, and what decodes for it.
    """

    name: str
    content: bytes = field(repr=False)
    made_by: Mapping[str, Any]
    timeout_s: float | None = _TIMEOUT_S
    columns: ClassVar[Mapping[str, str]] = {"score": "float64"}

    @classmethod
    def by(cls, model: Path) -> Scoring:
        """Take a detector.

        Args:
            model: An ``.onnx`` file.

        Raises:
            CheckpointError: The file is missing, damaged or was not written by ringtrue.
        """
        from ringtrue.inference.runtime import Detector

        made_by = _made_by(Detector(model))
        return cls(model.name, model.read_bytes(), made_by)

    def load(self) -> Callable[[Trial], Cells]:
        """Load the detector; give what scores a trial with it."""
        from ringtrue.inference.runtime import Detector

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.name
            path.write_bytes(self.content)
            detector = Detector(path)
        _refuse_other(self.made_by, _made_by(detector))

        def score(trial: Trial) -> Cells:
            (scored,) = score_trials(detector.score_windows, [trial], load_samples)
            return {"error": scored.error} if scored.error else {"score": scored.score}

        return score

    def failed(self, trial: Trial, reason: str) -> Cells:
        """Say why there is no score."""
        return {"error": f"{trial.audio} {reason}"}


@dataclass(frozen=True)
class Featuring:
    """The features of a frozen front end, of the four seconds that `ringtrue trace` hears of a recording.

    Attributes:
        choice: Complete. Every machine must find the front end under its name; its hash is checked.
        made_by: The front end, and what decodes for it.
    """

    choice: FrontEndChoice
    made_by: Mapping[str, Any]
    timeout_s: float | None = _TIMEOUT_S
    columns: ClassVar[Mapping[str, str]] = {
        "key": "string",
        "layers": "int32",
        "frames": "int32",
        "dim": "int32",
        "features": "binary",
    }

    @classmethod
    def by(
        cls, name: str, layer: int | Literal["all"], pool: int = 1, *, whole_window: bool = False
    ) -> Featuring:
        """Take a front end; see `ringtrue.models.frontend.FrontEndChoice`.

        Raises:
            CheckpointError: It cannot be loaded, or has no such layer.
        """
        from ringtrue.models.frontend import FrontEndChoice
        from ringtrue.models.frontends import load_choice

        front_end, choice = load_choice(FrontEndChoice(name, layer, pool, whole_window))
        return cls(choice, _heard_by(choice, front_end))

    def load(self) -> Callable[[Trial], Cells]:
        """Load the front end; give what hears a trial with it, on one thread, so that a core more changes no bit."""
        import torch

        from ringtrue.inference.source import prepare
        from ringtrue.models.feature_cache import as_kept, audio_key
        from ringtrue.models.frontends import load_choice

        torch.set_num_threads(1)
        front_end, choice = load_choice(self.choice)
        _refuse_other(self.made_by, _heard_by(choice, front_end))

        def hear(trial: Trial) -> Cells:
            try:
                wave = prepare(load_samples(trial))
                (heard,) = choice.features(front_end, torch.from_numpy(wave)[None]).numpy()
                layers, frames, dim = heard.shape
                content = as_kept(heard).astype("<f2").tobytes()
            except RingtrueError as error:
                return {"error": str(error)}
            return {
                "key": audio_key(wave), "layers": layers, "frames": frames, "dim": dim, "features": content,
            }  # fmt: skip

        return hear

    def failed(self, trial: Trial, reason: str) -> Cells:
        """Say why there are no features."""
        return {"error": f"{trial.audio} {reason}"}


def _made_by(detector: Detector) -> dict[str, Any]:
    made_by = provenance(detector)
    del made_by["command"]  # a run may be gone on with by another command
    return made_by


def _heard_by(choice: FrontEndChoice, front_end: FrontEnd) -> dict[str, Any]:
    import torch

    return {
        "features": choice.made_by(front_end),  # what a `FeatureCache` is named by
        "decoder": decoder_name(),
        "runtime": f"torch {torch.__version__}",
        "ringtrue": __version__,
    }


def _refuse_other(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Stop a machine whose versions would give other bits under the same name."""
    if wanted != found:
        other = [
            f"{key} {found.get(key)!r} and not {value!r}"
            for key, value in wanted.items()
            if found.get(key) != value
        ]
        raise CheckpointError(f"a worker has {', '.join(other)}: give all machines the same versions")
