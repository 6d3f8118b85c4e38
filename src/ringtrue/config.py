"""YAML -> a strict, typed, frozen configuration; a key nobody reads is an error that suggests the right one.

A file holds only what differs from the defaults below; the resolved whole is saved in the run folder.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ringtrue.errors import ConfigError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelConfig(_Strict):
    """The Prosody Encoder."""

    trunk: Literal["tcn", "resnet"] = "tcn"
    size: Literal["XS", "S", "M"] = "S"
    front_end: Literal["mel", "lfb", "dual"] = "dual"
    dropout: float = Field(0.1, ge=0, lt=1)


class ContentConfig(_Strict):
    """The frozen content teacher and the adversary that reads its units out of the evidence."""

    teacher: str = "facebook/wav2vec2-base"
    layer: int = Field(7, ge=0)  # phones peak in the middle of wav2vec 2.0, not in its last layer
    units: int = Field(100, ge=2, le=2000)
    lambda_adv: float = Field(0.0, ge=0, le=10)  # share of the task's gradient; 0 measures leakage only
    learning_rate: float = Field(3e-3, gt=0)  # of the adversary
    fit_clips: int = Field(200, ge=1)  # bona fide training clips that the units are clustered on


class TrainingConfig(_Strict):
    """Steps, batches and the optimiser."""

    epochs: int = Field(10, ge=1)
    steps_per_epoch: int = Field(50, ge=1)
    batch_size: int = Field(32, ge=2, multiple_of=2)  # half bona fide, half spoof
    crop_s: float = Field(3.0, ge=0.5, le=30)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup: float = Field(0.05, ge=0, lt=1)  # share of all steps
    clip_norm: float = Field(1.0, gt=0)
    label_smoothing: float = Field(0.05, ge=0, lt=0.5)
    frame_loss: float = Field(0.3, ge=0)  # weight of the loss on frame logits
    augment: bool = True
    workers: int = Field(1, ge=0)
    validation_clips: int | None = Field(None, ge=2)  # None: the whole development split


class RunConfig(_Strict):
    """One training run."""

    name: str = Field("baseline", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0)
    model: ModelConfig = ModelConfig()
    content: ContentConfig = ContentConfig()
    training: TrainingConfig = TrainingConfig()

    def smoke(self) -> RunConfig:
        """Give a run of two epochs of 100 steps with a short validation: does everything fit together?"""
        small = {"epochs": 2, "steps_per_epoch": 100, "validation_clips": 20 * self.training.batch_size}
        return self.model_copy(update={"training": self.training.model_copy(update=small)})

    def to_yaml(self) -> str:
        """Write out every value, defaults included."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)


def recipe_names() -> list[str]:
    """List the configurations that come with the package."""
    return sorted(
        item.name.removesuffix(".yaml") for item in _recipes().iterdir() if item.name.endswith(".yaml")
    )


def load_config(source: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a configuration.

    Args:
        source: A YAML file, or the name of a recipe that comes with the package (see `recipe_names`).
        overrides: ``"section.key=value"`` strings, applied last; values are read as YAML.

    Returns:
        The resolved configuration.

    Raises:
        ConfigError: There is no such file or recipe, it is not YAML, or a key or value is wrong.
    """
    values = _read(source)
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"override {override!r} is not of the form section.key=value")
        _assign(values, path.strip().split("."), _parse_yaml(value, f"override {override!r}"), override)
    return parse_config(values, str(source))


def parse_config(values: Mapping[str, Any], name: str) -> RunConfig:
    """Check a mapping against the configuration's types.

    Args:
        values: What differs from the defaults.
        name: What to call it in a message.

    Returns:
        The resolved configuration.

    Raises:
        ConfigError: A key is unknown or a value is of the wrong type or out of range.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{name}: " + "; ".join(_explain(problem) for problem in error.errors())) from None


def _read(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    try:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
        elif str(source) in recipe_names():
            text = (_recipes() / f"{source}.yaml").read_text(encoding="utf-8")
        else:
            known = ", ".join(recipe_names())
            raise ConfigError(f"no configuration file or recipe {str(source)!r}; recipes: {known}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} cannot be read: {error}") from error
    values = _parse_yaml(text, str(source)) or {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{source} holds {type(values).__name__}; a configuration is a mapping of keys to values"
        )
    return values


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values only; `1e-3` is the number that it looks like, which YAML 1.1 takes for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _parse_yaml(text: str, name: str) -> Any:
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not readable YAML: {' '.join(str(error).split())}") from error


def _assign(values: dict[str, Any], path: list[str], value: object, override: str) -> None:
    for key in path[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"override {override!r}: {key} is a value, not a section")
    values[path[-1]] = value


def _explain(problem: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path)
    if problem["type"] != "extra_forbidden":
        return f"{where} = {problem['input']!r}: {problem['msg'].lower()}"
    section: Any = RunConfig
    for part in path[:-1]:
        section = section.model_fields[part].annotation
    accepted = list(section.model_fields)
    close = difflib.get_close_matches(path[-1], accepted, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"accepted: {', '.join(accepted)}"
    return f"unknown key {where!r}; {hint}"


def _recipes() -> Any:
    return package_files("ringtrue") / "recipes"
