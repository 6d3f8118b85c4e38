"""A model and what is known of it -> one safetensors file, and back: it rebuilds itself and cannot run code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringtrue.errors import CheckpointError
from ringtrue.models.registry import create
from ringtrue.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
LABELS = ("spoof", "bonafide")
"""Order of a detector's classes; its score is logit[1] - logit[0], so higher means more likely bona fide."""


@dataclass
class ModelCard:
    """Everything but the weights: enough to rebuild, to judge with and to doubt a model.

    Attributes:
        name: What to call the model, for example ``"hero"``.
        architecture: Registered model name.
        arguments: Its constructor's arguments.
        labels: Class names in the order of the logits.
        calibration: Slope and offset that turn a score into a natural-log likelihood ratio, the thresholds
            of the operating point, and what they were fitted on; empty before calibration.
        trained_on: Corpus name, manifest hash and licences.
        metrics: Figures on the development set, never on a test set, and the step that they were reached at.
        provenance: Versions, seed, configuration, content teacher, command.
    """

    name: str
    architecture: str
    arguments: dict[str, Any]
    labels: tuple[str, ...] = LABELS
    calibration: dict[str, Any] = field(default_factory=dict)
    trained_on: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


def save(path: str | Path, model: nn.Module, card: ModelCard) -> None:
    """Write weights and card into one safetensors file, atomically.

    Args:
        path: The file to write, ``*.safetensors``.
        model: The model that ``card.architecture`` and ``card.arguments`` build.
        card: What to remember of it.
    """
    header = json.dumps({"format": FORMAT, **asdict(card)}, sort_keys=True)
    save_tensors(path, model.state_dict(), {"ringtrue": header})


def load(path: str | Path) -> tuple[nn.Module, ModelCard]:
    """Rebuild a model from its checkpoint alone.

    Args:
        path: A checkpoint that `save` wrote.

    Returns:
        The model in evaluation mode, and its card.

    Raises:
        CheckpointError: The file is missing, damaged, of an unknown format, or does not fit its model.
    """
    weights, metadata = load_tensors(path)
    if "ringtrue" not in metadata:
        raise CheckpointError(f"{path} holds weights but no ringtrue card: it was not written by ringtrue")
    try:
        header = dict(json.loads(metadata["ringtrue"]))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its card is damaged: {error}") from error
    card = _card_from(header, path)
    model = create(card.architecture, **card.arguments)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit {card.architecture}: {error}") from error
    return model.eval(), card


def _card_from(header: dict[str, Any], path: str | Path) -> ModelCard:
    """Make a card from a header of any format version; older ones are upgraded here and nowhere else."""
    version = header.pop("format", None)
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version!r}; this version of ringtrue reads format {FORMAT}"
        )
    try:
        header["labels"] = tuple(header["labels"])
        return ModelCard(**header)
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: its card is not one of format {FORMAT}: {error}") from error
