"""A small YAML file -> what the two stages are trained on and with; without a file, the pair and the sets of the seed.

A key that nobody reads is an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from ringtrue.config import parse_yaml
from ringtrue.errors import ConfigError
from ringtrue.models.frontend import FrontEndChoice

FILE = "two_stage.yaml"
"""Read from the current folder by the functions of `ringtrue.tracing.two_stage`, if it is there."""


@dataclass(frozen=True)
class Settings:
    """What is trained, on what.

    Attributes:
        countermeasure_corpus: Stage 1 learns bona fide from spoof on its train split; as `load_corpus` takes it.
        tracing_corpus: Stage 2 learns systems on its train split, sets thresholds on dev and is judged on the tests.
        front_ends: Whisper-base and XLS-R (1 B), a layer of each and every four frames averaged: features of both sets
            take 14 GiB, where all layers at half that pooling would take a terabyte.
        fusion: See `ringtrue.models.mio.MiO`.
        epochs: Of MiO.
        most_clips: At most so many clips of a system (of a speaker, for bona fide) and split; 0 takes all.
        seed: Seed of everything random.
        checkpoint: Where stage 1 is kept.
    """

    countermeasure_corpus: str = "asvspoof2019-la:data/LA"
    tracing_corpus: str = "mlaad-tracing:data/MLAAD"
    front_ends: tuple[FrontEndChoice, ...] = (
        FrontEndChoice("openai/whisper-base", layer=6, pool=4),
        FrontEndChoice("facebook/wav2vec2-xls-r-1b", layer=12, pool=4),
    )
    fusion: str = "outer"
    epochs: int = 8
    most_clips: int = 0
    seed: int = 0
    checkpoint: str = "mio.safetensors"

    def with_seed(self, seed: int) -> Settings:
        """Give the same settings with another seed, and so another checkpoint."""
        if seed == self.seed:
            return self
        path = Path(self.checkpoint)
        return replace(self, seed=seed, checkpoint=str(path.with_stem(f"{path.stem}_seed{seed}")))

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return {**asdict(self), "front_ends": [asdict(choice) for choice in self.front_ends]}


def load_settings(source: str | Path | None = None) -> Settings:
    """Read settings.

    Args:
        source: A YAML file; `FILE` in the current folder by default, or the defaults where there is none.

    Returns:
        The settings.

    Raises:
        ConfigError: There is no such file, it is not YAML, or a key or value is wrong.
    """
    path = Path(source or FILE)
    if not path.is_file():
        if source is None:
            return Settings()
        raise ConfigError(f"no settings at {path}; a YAML file with some of: {', '.join(_names(Settings))}")
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"), str(path)) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    values = _checked(Settings, values, str(path))
    if "front_ends" in values:
        listed = values["front_ends"]
        if not isinstance(listed, list) or not listed:
            raise ConfigError(f"{path}: front_ends is a list of mappings with a name each")
        values["front_ends"] = tuple(
            FrontEndChoice(**_checked(FrontEndChoice, one, f"{path}: front_ends")) for one in listed
        )
    return Settings(**values)


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _checked(kind: type, values: object, where: str) -> dict[str, Any]:
    """Refuse unknown keys and values of another type than the default's."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} holds {type(values).__name__}; a mapping of keys to values is accepted")
    known = {field.name: field for field in fields(kind)}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"accepted: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}; {hint}")
        default = known[key].default
        if key not in ("front_ends", "layer", "name") and type(value) is not type(default):
            raise ConfigError(f"{where}: {key} = {value!r}; accepted: {type(default).__name__}")
    if kind is FrontEndChoice and not isinstance(values.get("name"), str):
        raise ConfigError(f"{where}: every front end has a name")
    return cast(dict[str, Any], dict(values))
