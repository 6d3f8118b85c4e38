"""A trained tracer and what is known of it -> one ONNX file: thresholds, temperatures, prototypes in its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.trials import Trial
from ringtrue.inference.export import write_graph
from ringtrue.inference.source import CARD_KEY, FORMAT, NAMED
from ringtrue.tracing.attributes import value_of
from ringtrue.tracing.learning import as_rows, fit_temperature
from ringtrue.tracing.openset import rejection_threshold
from ringtrue.windows import WINDOW

_EXEMPLARS = 5  # of every system, for a person to compare with


@dataclass(frozen=True)
class TrainedTracer:
    """A trained tracer and what it makes of the clips.

    Attributes:
        graph: The network: waves in; embedding, and logits in the order of `NAMED`, out.
        classes: Names of the classes of each attribute.
        positions: Where the systems lie `(K, D)`.
        embeddings: Of every clip, `(n, D)`.
        logits: Of every clip, by attribute.
    """

    graph: nn.Module
    classes: dict[str, tuple[str, ...]]
    positions: NDArray[np.float64]
    embeddings: NDArray[np.float64]
    logits: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class HeldOut:
    """What was learned from clips that were not trained on.

    Attributes:
        threshold: Distance to the nearest system beyond which a clip is unknown.
        least_probability: Of the likeliest vocoder, below which a clip is unknown too; in [0, 1). Systems that share
            a vocoder must not make each other unlikely.
        known_accepted: Share of clips of known systems that both let in.
        unknown_rejected: Share of clips of unknown systems that they do not.
        measured_on: What the two shares were measured on.
        known_distances: Of clips of known systems to their own.
        temperatures: Of each attribute's logits.
    """

    threshold: float
    least_probability: float
    known_accepted: float
    unknown_rejected: float
    measured_on: str
    known_distances: NDArray[np.float64]
    temperatures: Mapping[str, float]


def set_on(
    made: TrainedTracer,
    trials: Sequence[Trial],
    dev_known: NDArray[np.int64],
    dev_unknown: NDArray[np.int64],
) -> HeldOut:
    """Set a tracer's threshold and temperatures on held-out clips; it refuses by distance alone.

    Args:
        made: The tracer.
        trials: The clips.
        dev_known: Places of clips of training systems that were not trained on.
        dev_unknown: Places of clips of systems that training never heard.

    Returns:
        What they say.

    Raises:
        CorpusError: There are no such clips.
    """
    distance = np.linalg.norm(made.embeddings[:, None] - made.positions[None], axis=2)
    nearest = distance.min(axis=1)
    threshold = -rejection_threshold(-nearest[dev_known], -nearest[dev_unknown])
    labels = {
        name: as_rows([value_of(trials[place], name) for place in dev_known], made.classes[name])
        for name in NAMED
    }
    return HeldOut(
        threshold,
        least_probability=0.0,
        known_accepted=float(np.mean(nearest[dev_known] <= threshold)),
        unknown_rejected=float(np.mean(nearest[dev_unknown] > threshold)),
        measured_on=f"{len(dev_known)} held-out clips of known and {len(dev_unknown)} of unknown systems; the "
        "threshold was set on the same",
        known_distances=distance[dev_known, labels["system"]],
        temperatures={name: fit_temperature(made.logits[name][dev_known], labels[name]) for name in NAMED},
    )


def export_tracer(
    made: TrainedTracer,
    trials: Sequence[Trial],
    train: NDArray[np.int64],
    held_out: HeldOut,
    record: Mapping[str, Any],
    target: str | Path,
) -> Path:
    """Write the tracer as ONNX, with all that naming sources takes in its card.

    Args:
        made: The tracer.
        trials: The clips.
        train: Places of the training clips.
        held_out: What clips beside these say.
        record: What else the card holds, such as what it was trained on and what made it.
        target: The ``.onnx`` file to write.

    Returns:
        The target.

    Raises:
        CheckpointError: ONNX Runtime's outputs differ from torch's.
    """
    systems = made.classes["system"]
    labels = as_rows([trials[place].system for place in train], systems)
    card = {
        **record,
        "format": FORMAT,
        "name": Path(target).stem,
        "centre": made.embeddings[train].mean(0).tolist(),
        "threshold": held_out.threshold,
        "least_probability": held_out.least_probability,
        "rejection": {
            "known_accepted": held_out.known_accepted,
            "unknown_rejected": held_out.unknown_rejected,
            "measured_on": held_out.measured_on,
        },
        "known_distances": np.round(np.sort(held_out.known_distances), 5).tolist(),
        "attributes": {
            name: {"classes": made.classes[name], "temperature": held_out.temperatures[name]}
            for name in NAMED
        },
        "systems": [
            _system(made, trials, train[labels == place], name, made.positions[place])
            for place, name in enumerate(systems)
        ],
    }
    metadata = {CARD_KEY: json.dumps(card, sort_keys=True, allow_nan=False)}
    return write_graph(made.graph, ("embedding", *NAMED), metadata, target, lengths=(SAMPLE_RATE_HZ, WINDOW))


def _system(
    made: TrainedTracer,
    trials: Sequence[Trial],
    places: NDArray[np.int64],
    name: str,
    mean: NDArray[np.float64],
) -> dict[str, Any]:
    """Describe one known system; its exemplars are clips spread from its middle outwards."""
    distances = np.linalg.norm(made.embeddings[places] - mean, axis=1)
    ranks = np.unique(np.linspace(0, len(places) - 1, _EXEMPLARS).astype(int))
    chosen = places[np.argsort(distances)[ranks]]
    first = trials[places[0]]
    return {
        "name": name,
        "acoustic_model": value_of(first, "acoustic_model"),
        "vocoder": value_of(first, "vocoder"),
        "clips": len(places),
        "spread": float(distances.mean()),
        "position": np.round(mean, 5).tolist(),
        "exemplars": [
            {"id": trials[place].id, "position": np.round(made.embeddings[place], 4).tolist()}
            for place in chosen
        ],
    }
