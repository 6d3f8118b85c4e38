"""Waves and a front end -> its features, computed once: content-addressed shards on disk, memory-mapped, bounded.

An entry is named by the sound itself and lives in a folder named by everything else that it depends on (weights,
layers, preprocessing), so a renamed recording is found again and an edited one is not. Shards are written whole, each
under the hash of its content: any number of processes may write into one folder, and a kill costs one shard at most.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import CheckpointError, RingtrueError
from ringtrue.files import atomic_path, cache_dir, stable_int, write_json

if TYPE_CHECKING:
    from ringtrue.models.frontend import FrontEnd, FrontEndChoice

Features = NDArray[np.float16]
Progress = Callable[[str], None]

LIMIT_VARIABLE = "RINGTRUE_FEATURES_GIB"
_LIMIT_GIB = 20.0
_SHARD_CLIPS = 64  # what a kill can cost
_SHARD_BYTES = 64 << 20
_TOGETHER = 8  # clips of one length that the front end hears at once
_SUFFIX = ".safetensors"
_MADE_BY = "made_by.json"


def audio_key(samples: NDArray[np.float32]) -> str:
    """Name a wave by what is in it.

    Args:
        samples: `(T,)` float32.

    Returns:
        32 hexadecimal digits.
    """
    return hashlib.sha256(np.ascontiguousarray(samples, dtype="<f4").tobytes()).hexdigest()[:32]


def as_kept(features: NDArray[Any]) -> Features:
    """Round features as they are kept.

    Args:
        features: Any shape.

    Returns:
        The same as float16, whose range is 65,504.

    Raises:
        CheckpointError: They are not finite.
    """
    if not np.isfinite(features).all():
        raise CheckpointError(
            "a front end gave features that are not finite: its weights are damaged or unfit"
        )
    return np.clip(features, -65_504, 65_504).astype(np.float16)


class FeatureCache:
    """Features by the name of their sound, for one way of making them.

    Leave it as a context manager, or call `flush`, so that the last shard is written.

    Args:
        made_by: Everything that features depend on besides the sound; see `FrontEndChoice.made_by`.
        root: Folder of all caches; ``features`` in the cache folder by default.
        limit_bytes: What all shards below `root` may take together; ``$RINGTRUE_FEATURES_GIB`` or 20 GiB by default.
            Least recently used shards of other runs give way first.
        progress: Takes a line for whatever a person should know: a damaged shard, a full cache.

    Attributes:
        folder: Where its shards lie.
        limit_bytes: As above.
    """

    def __init__(
        self,
        made_by: Mapping[str, Any],
        root: Path | None = None,
        limit_bytes: int | None = None,
        progress: Progress = lambda line: None,
    ):
        self._root = root or cache_dir() / "features"
        self.folder = self._root / f"{stable_int(json.dumps(made_by, sort_keys=True)):016x}"
        self.limit_bytes = _limit_from_environment() if limit_bytes is None else limit_bytes
        self._progress = progress
        self._pending: dict[str, Features] = {}
        self._shards: dict[str, _Shard] = {}  # by file name
        self._place: dict[str, _Shard] = {}  # by key
        self._is_full = False
        write_json(self.folder / _MADE_BY, dict(made_by))

    def __enter__(self) -> FeatureCache:
        """Use the cache."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is not yet written, whatever went wrong meanwhile."""
        self.flush()

    def get(self, key: str) -> Features | None:
        """Look features up.

        Args:
            key: `audio_key` of the wave.

        Returns:
            A read-only array, or None where there are none (any more).
        """
        if key in self._pending:
            return self._pending[key]
        if key not in self._place:
            self._look_again()
        while (shard := self._place.get(key)) is not None:
            if (found := shard.read(key)) is not None:
                return found
            self._drop(shard, f"the features of a clip in {shard.path.name} are damaged")
        return None

    def put(self, key: str, features: NDArray[Any]) -> None:
        """Store features; they are on disk when their shard is full, or after `flush`.

        Args:
            key: `audio_key` of the wave.
            features: Any shape; kept as `as_kept` gives them.
        """
        self._pending[key] = as_kept(features)
        size = sum(entry.nbytes for entry in self._pending.values())
        if len(self._pending) >= _SHARD_CLIPS or size >= _SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one shard, making room where that is needed."""
        if not self._pending:
            return
        from safetensors.numpy import save

        sums = {key: zlib.crc32(entry.tobytes()) for key, entry in self._pending.items()}
        content = save(self._pending, metadata={"crc32": json.dumps(sums)})
        if not self._make_room(len(content)):
            self._pending.clear()
            return
        path = self.folder / f"{hashlib.sha256(content).hexdigest()[:32]}{_SUFFIX}"
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        self._pending.clear()
        self._open(path)

    def _look_again(self) -> None:
        """Open shards that were written since, by us or by another process."""
        for path in sorted(self.folder.glob(f"[!.]*{_SUFFIX}")):
            if path.name not in self._shards:
                self._open(path)

    def _open(self, path: Path) -> None:
        try:
            shard = _Shard(path)
        except RingtrueError as error:
            self._progress(f"feature cache: {error}; its clips are computed again, all others are kept")
            path.unlink(missing_ok=True)
            return
        self._shards[path.name] = shard
        self._place.update(dict.fromkeys(shard.keys, shard))

    def _drop(self, shard: _Shard, reason: str) -> None:
        """Forget a damaged shard, but not the entries in it that are whole."""
        self._progress(f"feature cache: {reason}; that clip is computed again, all others are kept")
        whole = {key: entry for key in shard.keys if (entry := shard.read(key)) is not None}
        for key in shard.keys:
            if self._place.get(key) is shard:
                del self._place[key]
        del self._shards[shard.path.name]
        shard.path.unlink(missing_ok=True)
        self._pending.update(whole)
        self.flush()

    def _make_room(self, wanted: int) -> bool:
        """Delete the least recently used shards of other runs until `wanted` bytes fit; say whether they do."""
        if self._is_full:
            return False
        there = {}
        for path in self._root.glob(f"*/[!.]*{_SUFFIX}"):
            with contextlib.suppress(OSError):  # another process may be making room too
                status = path.stat()
                there[path] = (status.st_mtime_ns, status.st_size)
        free = self.limit_bytes - sum(size for _, size in there.values())
        mine = {shard.path for shard in self._shards.values()}
        for path in sorted(set(there) - mine, key=lambda path: there[path]):
            if free >= wanted:
                break
            path.unlink(missing_ok=True)  # whoever has it mapped keeps it
            free += there[path][1]
        if free < wanted:
            self._is_full = True
            self._progress(
                f"feature cache: full at {self.limit_bytes / 2**30:.2g} GiB with this run's own features; what does "
                f"not fit is computed again each time. {LIMIT_VARIABLE} sets the limit"
            )
        return free >= wanted


class _Shard:
    """A memory-mapped shard."""

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._file = safe_open(str(path), framework="np")
            self.keys = frozenset(self._file.keys())
            self._sums = json.loads(self._file.metadata()["crc32"])
            os.utime(path)  # used just now: last to give way
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the shard {path.name} is damaged ({error})") from error

    def read(self, key: str) -> Features | None:
        """Give an entry if its checksum is right."""
        entry: Features = self._file.get_tensor(key)
        if zlib.crc32(entry.tobytes()) != self._sums.get(key):
            return None
        entry.flags.writeable = False
        return entry


def cached_features(
    waves: Sequence[NDArray[np.float32]], choice: FrontEndChoice, front_end: FrontEnd, cache: FeatureCache
) -> Iterator[Features]:
    """Give the features of waves, from the cache or from the front end.

    Args:
        waves: `(T,)` each, 16 kHz. Waves of one length are heard together, a few at a time.
        choice: Which features.
        front_end: The front end that it names.
        cache: Of ``choice.made_by(front_end)``.

    Yields:
        `(N, L, D)` float16 for each wave, in order.
    """
    import torch

    keys = [audio_key(wave) for wave in waves]
    found = [cache.get(key) for key in keys]
    todo: dict[int, list[int]] = {}
    for place, features in enumerate(found):
        if features is None:
            todo.setdefault(len(waves[place]), []).append(place)
    for places in todo.values():
        for start in range(0, len(places), _TOGETHER):
            batch = places[start : start + _TOGETHER]
            heard = choice.features(front_end, torch.from_numpy(np.stack([waves[place] for place in batch])))
            for place, one in zip(batch, heard.numpy(), strict=True):
                cache.put(keys[place], one)
                found[place] = as_kept(one)
    for features in found:
        assert features is not None
        yield features


def _limit_from_environment() -> int:
    text = os.environ.get(LIMIT_VARIABLE, str(_LIMIT_GIB))
    try:
        limit = float(text)
        if not limit > 0:
            raise ValueError
    except ValueError:
        raise RingtrueError(f"{LIMIT_VARIABLE} is {text!r}; a positive number of GiB is accepted") from None
    return int(limit * 2**30)
