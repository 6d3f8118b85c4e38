"""Generators that a user enrolled from a few clips <-> one safetensors file, read and written with numpy alone.

A prototype is the mean of n embeddings, drawn towards the mean of all known systems: five clips are little. How far is
told by the systems that the tracer was trained on: the more clips of one system differ beside systems, the further.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import CheckpointError
from ringtrue.files import atomic_path

FEWEST, ENOUGH = 5, 20
"""How many clips a generator is enrolled from: fewer are refused, more are welcome and hardly needed."""

_METADATA = "__metadata__"


@dataclass(frozen=True)
class Prototype:
    """Where a generator's clips lie.

    Attributes:
        name: What to call the generator.
        acoustic_model: Its acoustic model, empty if not known.
        vocoder: Its vocoder, empty if not known.
        clips: How many clips it was made from.
        spread: Mean distance of these clips to their mean.
        is_enrolled: Whether a user added it, or it came with the tracer.
        position: `(D,)` in the tracer's embedding space.
    """

    name: str
    acoustic_model: str
    vocoder: str
    clips: int
    spread: float
    is_enrolled: bool
    position: NDArray[np.float32]


def make_prototype(
    name: str,
    embeddings: NDArray[np.float32],
    centre: NDArray[np.float32],
    weight: float,
    acoustic_model: str = "",
    vocoder: str = "",
) -> Prototype:
    """Make a prototype from a few clips.

    Args:
        name: What to call the generator.
        embeddings: `(n, D)`, one row a clip.
        centre: `(D,)`, the mean of all known systems.
        weight: How many clips that mean is worth: variance within systems over variance between them.
        acoustic_model: If known.
        vocoder: If known.

    Returns:
        The prototype.

    Raises:
        CheckpointError: There are fewer than `FEWEST` clips, or the name is empty.

    >>> one = make_prototype("new", np.ones((5, 2), np.float32), np.zeros(2, np.float32), 5.0)
    >>> one.position.tolist()
    [0.5, 0.5]
    """
    if len(embeddings) < FEWEST:
        raise CheckpointError(
            f"{name}: {len(embeddings)} clips could be heard; {FEWEST} to {ENOUGH} clips of one generator are needed"
        )
    if not name.strip():
        raise CheckpointError("a generator needs a name")
    mean = embeddings.mean(axis=0)
    position = (len(embeddings) * mean + weight * centre) / (len(embeddings) + weight)
    spread = float(np.linalg.norm(embeddings - mean, axis=1).mean())
    return Prototype(
        name, acoustic_model, vocoder, len(embeddings), spread, True, position.astype(np.float32)
    )


class Enrolled:
    """The enrolled generators of one tracer.

    Args:
        path: The file; it need not exist.
        tracer_sha256: The tracer whose embeddings they are. Prototypes of another one mean nothing and are refused.

    Raises:
        CheckpointError: The file is damaged, or belongs to another tracer.
    """

    def __init__(self, path: Path, tracer_sha256: str):
        self.path = path
        self._tracer = tracer_sha256
        self._known: dict[str, Prototype] = {}
        self._state: tuple[int, ...] | None = None  # of the file when it was read
        assert self.prototypes is self._known  # a file that cannot be used is told of now

    @property
    def prototypes(self) -> Mapping[str, Prototype]:
        """Name -> prototype; read again where the file has changed, as by another process."""
        try:
            status = self.path.stat()
            state = status.st_ino, status.st_size, status.st_mtime_ns
        except FileNotFoundError:
            state = None
        if state != self._state:
            self._known, self._state = self._load() if state else {}, state
        return self._known

    def _load(self) -> dict[str, Prototype]:
        tensors, metadata = _read(self.path)
        if metadata.get("tracer_sha256") != self._tracer:
            raise CheckpointError(
                f"{self.path} was enrolled with another tracer ({str(metadata.get('tracer_sha256'))[:12]}… and not "
                f"{self._tracer[:12]}…): enroll its generators again, or use that tracer"
            )
        try:
            known = json.loads(metadata["prototypes"])
            return {name: Prototype(**one, position=tensors[name]) for name, one in known.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.path} is damaged: {error}; delete it and enroll again") from error

    def add(self, prototype: Prototype) -> None:
        """Add a generator, or replace the one of that name, and save."""
        self._save({**self.prototypes, prototype.name: prototype})

    def remove(self, name: str) -> None:
        """Remove a generator and save.

        Args:
            name: Its name.

        Raises:
            CheckpointError: There is none of that name.
        """
        if name not in self.prototypes:
            known = ", ".join(self.prototypes) or "none"
            raise CheckpointError(f"no generator {name!r} is enrolled; enrolled: {known}")
        self._save({other: one for other, one in self.prototypes.items() if other != name})

    def _save(self, prototypes: dict[str, Prototype]) -> None:
        known: dict[str, Any] = {name: asdict(one) for name, one in prototypes.items()}
        positions = {name: known[name].pop("position") for name in known}
        metadata = {"tracer_sha256": self._tracer, "prototypes": json.dumps(known)}
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(_written(positions, metadata))


def nearest(embedding: NDArray[np.float32], prototypes: Sequence[Prototype]) -> list[tuple[Prototype, float]]:
    """Sort prototypes by their distance.

    Args:
        embedding: `(D,)`.
        prototypes: Known and enrolled ones.

    Returns:
        Each with its Euclidean distance, nearest first.
    """
    positions = np.stack([one.position for one in prototypes])
    distances = np.sqrt(np.square(positions - embedding).sum(axis=1)).tolist()
    return sorted(zip(prototypes, distances, strict=True), key=lambda pair: pair[1])


# The format is short enough to be spelled out, and `ringtrue check` needs one package less: header length as u64,
# a JSON header of types, shapes and offsets, the data.


def _written(tensors: Mapping[str, NDArray[np.float32]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    blob = b""
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor, dtype="<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(blob), len(blob) + len(data)],
        }
        blob += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + blob


def _read(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    try:
        content = path.read_bytes()
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop(_METADATA)
        tensors = {}
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            data = content[8 + length + start : 8 + length + stop]
            tensors[name] = np.frombuffer(data, dtype="<f4").reshape(entry["shape"])
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}; delete it and enroll again") from error
    return tensors, metadata
