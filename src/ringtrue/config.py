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
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ringtrue.errors import ConfigError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelConfig(_Strict):
    """The Prosody Encoder."""

    trunk: Literal["tcn", "resnet"] = "tcn"
    size: Literal["XS", "S", "M"] = "S"
    front_end: Literal["mel", "lfb", "dual"] = "dual"
    prosody: bool = False  # a slow second stream that hears pitch, voicing, energy, tilt and pauses only
    dropout: float = Field(0.1, ge=0, lt=1)


class ContentConfig(_Strict):
    """The frozen content teacher, and what its units are used for."""

    teacher: str = "facebook/wav2vec2-base"
    layer: int = Field(7, ge=0)  # phones peak in the middle of wav2vec 2.0, not in its last layer
    units: int = Field(100, ge=2, le=2000)
    fit_clips: int = Field(200, ge=1)  # bona fide training clips that the units are clustered on
    pooled_layer: int | None = Field(None, ge=0)  # whose mean vector adversary.target = pooled reads
    conditional: bool = (
        True  # independence given the label; False: marginal, which must cost label information
    )
    shuffled: bool = False  # placebo: every clip gets another clip's units, so there is nothing to remove


class AdversaryConfig(_Strict):
    """Networks that read content from what the encoder gives, and how their success is turned against it.

    They always learn, on detached features, so that every run can say what its features give away.
    """

    target: Literal["units", "pooled", "speaker"] = "units"
    objective: Literal["reversal", "confusion", "club"] = "reversal"
    level: Literal["frame", "utterance", "both"] = "frame"  # of units; the other targets are of utterances
    strength: float = Field(0.0, ge=0, le=10)  # lambda; 0 measures leakage only
    scale: Literal["share", "raw"] = (
        "share"  # lambda is a share of the task's gradient, or the loss's bare weight
    )
    leakage_target: float | None = Field(
        None, gt=0, lt=1
    )  # steer lambda until this share of the leakage is left
    steps: int = Field(3, ge=1, le=10)  # of the readers for each of the encoder
    ensemble: int = Field(3, ge=1, le=3)  # frame readers: context, then linear, then a perceptron
    refresh: float = Field(
        0.0, ge=0, lt=1
    )  # one reader starts anew after each such share of the run; 0: never
    learning_rate: float = Field(3e-3, gt=0)


class DecorrelationConfig(_Strict):
    """Penalties on what features and content share, without a game."""

    measure: Literal["correlation", "hsic"] = "correlation"
    frame: float = Field(0.0, ge=0)  # weight at the frame evidence
    utterance: float = Field(0.0, ge=0)  # weight at the embedding


class DistillationConfig(_Strict):
    """A large frozen encoder with a linear detector on it, whose judgement the student learns too."""

    weight: float = Field(0.0, ge=0)  # 0: off
    layer: int = Field(2, ge=0)  # of the content teacher; low layers carry the most
    erase: Literal["nothing", "content", "random"] = (
        "nothing"  # what the teacher is made blind to first (LEACE)
    )
    temperature: float = Field(2.0, gt=0)


class TrainingConfig(_Strict):
    """Steps, batches, losses and the optimiser."""

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
    pairs: float = Field(
        0.0, ge=0, le=1
    )  # share of a batch that is twins: a recording and its copy-synthesis
    pair_loss: float = Field(0.5, ge=0)  # weight of ranking twins and of holding their content together
    bottleneck: float = Field(0.0, ge=0)  # weight of a variational information bottleneck (VIB); 0: none
    prosody_task: float = Field(0.0, ge=0)  # weight of filling in masked prosody of bona fide speech
    sharpness: float = Field(0.0, ge=0)  # rho of adaptive sharpness-aware minimisation (ASAM); 0: off
    average: float = Field(
        0.0, ge=0, lt=1
    )  # decay of averaged weights (EMA), then validated and shipped; 0: off
    augment: bool = True
    workers: int = Field(1, ge=0)
    streaming: bool = (
        False  # every clip once a pass, shard by shard, in place of drawing systems and speakers evenly
    )
    cached: bool = False  # decode every recording once into one memory-mapped file
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    checkpoint_steps: int = Field(500, ge=1)  # besides one at the end of each epoch
    validation_clips: int | None = Field(None, ge=2)  # None: the whole development split


class RunConfig(_Strict):
    """One training run."""

    name: str = Field("baseline", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0)
    corpus: str | None = None  # what it is trained on, unless the command says otherwise
    model: ModelConfig = ModelConfig()
    content: ContentConfig = ContentConfig()
    adversary: AdversaryConfig = AdversaryConfig()
    decorrelation: DecorrelationConfig = DecorrelationConfig()
    distillation: DistillationConfig = DistillationConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _agrees(self) -> RunConfig:
        """Refuse settings that would silently do nothing, or nothing that their names say."""
        adversary, training = self.adversary, self.training
        if adversary.target != "units" and adversary.objective == "club":
            raise ValueError("adversary.objective = club needs adversary.target = units")
        if adversary.target == "pooled" and adversary.objective != "reversal":
            raise ValueError(
                "adversary.target = pooled is a regression: it takes adversary.objective = reversal only"
            )
        if adversary.target == "pooled" and self.content.pooled_layer is None:
            raise ValueError(
                "adversary.target = pooled reads a layer's mean vector: give content.pooled_layer"
            )
        if adversary.leakage_target is not None and (adversary.strength == 0 or adversary.scale != "share"):
            raise ValueError(
                "adversary.leakage_target steers a lambda: give adversary.strength > 0, scale = share"
            )
        if training.streaming and (training.pairs or training.cached):
            raise ValueError(
                "training.streaming hears clips as they lie: it takes training.pairs = 0, cached = false"
            )
        if training.prosody_task and not self.model.prosody:
            raise ValueError(
                "training.prosody_task is a task of the prosody stream: set model.prosody = true"
            )
        return self

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
        _assign(values, path.strip().split("."), parse_yaml(value, f"override {override!r}"), override)
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
    values = parse_yaml(text, str(source)) or {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"{source} holds {type(values).__name__}; a configuration is a mapping of keys to values"
        )
    return values


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values only; `1e-3` is the number that it looks like, which YAML 1.1 takes for text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a dozen lines of them can stand for billions of values."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases are not accepted: *{self.peek_event().anchor}")
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def parse_yaml(text: str, name: str) -> Any:
    """Read YAML that holds plain values only.

    Args:
        text: What to read.
        name: What to call it in a message.

    Returns:
        Mappings, lists, text, numbers, truth values or nothing.

    Raises:
        ConfigError: It is not YAML, or asks for anything else.
    """
    try:
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
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
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
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
