"""An experiment file (YAML) -> what is to be trained, what on, what it is tested by, and what is expected beforehand.

Training settings are those of `ringtrue.config`; here is only what several runs have in common.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ringtrue.config import RunConfig, load_config, parse_yaml
from ringtrue.errors import ConfigError

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


Pair = Annotated[tuple[str, str], Field(strict=False)]  # YAML knows lists only


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Corpus(_Strict):
    """What is trained on. ``${NAME}`` in a source is an environment variable, or ``--set NAME=...``."""

    source: str
    change: dict[str, Any] = {}  # settings of every run on it, before those of the variant


class TrialSet(_Strict):
    """What runs are tested by; without a source, the corpus that they were trained on."""

    source: str | None = None
    split: Literal["test", "test_seen"] = "test"
    trim: bool = False  # cut the silence before and after the speech


class Variant(_Strict):
    """A training recipe and what differs from it."""

    recipe: str = "baseline"
    change: dict[str, Any] = {}
    corpora: list[str] = []  # that it is trained on; all of them where empty


class Hypothesis(_Strict):
    """What is expected, in words, and where possible so that a machine can say whether it came true.

    With a contrast: the figure of the first variant minus that of the second is below (above) 0 by the margin at
    least, its interval leaves 0 out, and enough seeds agree; or it is ``within`` the margin of 0, or ``not above`` it,
    interval and all. With `than` the contrast on `corpus` is held against the same contrast on another corpus. With a
    relation: over all runs, each measured from the baseline's run of the same seed, two figures rank alike.
    """

    text: str
    figure: str = "eer"  # of `FIGURES`, or leakage
    contrast: Pair | None = None
    relation: Pair | None = None
    tests: list[str] = []  # all of them where empty
    corpus: str | None = None  # all of them where not given
    than: str | None = None
    direction: Literal["below", "above", "within", "not above"] = "below"
    margin: float = Field(0.0, ge=0)  # of the figure, as a fraction
    relative: bool = False  # the margin is a share of the second variant's figure
    seeds_agree: float = Field(0.0, ge=0, le=1)  # share of seeds that must point the same way


class Experiment(_Strict):
    """Everything that an experiment file says."""

    name: str = Field(pattern=NAME)
    corpora: dict[str, Corpus]
    tests: dict[str, TrialSet]
    variants: dict[str, Variant]
    baseline: str
    seeds: list[int] = [0, 1, 2, 3, 4]
    defaults: dict[str, Any] = {}  # changes that all variants share
    contrasts: list[Pair] = []  # every variant with the baseline where empty
    figures: list[str] = ["eer", "auc", "min_dcf"]
    draws: int = Field(2000, ge=1)
    hypotheses: dict[str, Hypothesis] = {}

    @model_validator(mode="after")
    def _agrees(self) -> Experiment:
        """Refuse names that mean nothing, before hours of training find out."""
        from ringtrue.evaluation.quantities import FIGURES

        for what, names in (("corpora", self.corpora), ("tests", self.tests), ("variants", self.variants)):
            if not names:
                raise ValueError(f"{what} are empty: name one at least")
            if wrong := [name for name in names if not re.match(NAME, name)]:
                raise ValueError(
                    f"{what}: {wrong[0]!r} must be letters, digits, dots, hyphens and underscores"
                )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds {self.seeds}: distinct whole numbers from 0 are accepted")
        _known("baseline", [self.baseline], self.variants)
        for name, variant in self.variants.items():
            _known(f"variants.{name}.corpora", variant.corpora, self.corpora)
        _known("contrasts", [name for pair in self.contrasts for name in pair], self.variants)
        _known("figures", self.figures, FIGURES)
        if "eer" not in self.figures:
            raise ValueError("figures must have eer among them")
        for key, one in self.hypotheses.items():
            where = f"hypotheses.{key}"
            _known(f"{where}.contrast", one.contrast or (), self.variants)
            _known(f"{where}.relation", one.relation or (), [*self.figures, LEAKAGE])
            _known(f"{where}.figure", [one.figure], [*self.figures, LEAKAGE])
            _known(f"{where}.tests", one.tests, self.tests)
            _known(f"{where}.corpus", [name for name in (one.corpus, one.than) if name], self.corpora)
            if one.contrast and one.relation:
                raise ValueError(f"{where}: a contrast or a relation, not both")
            if one.than and not one.corpus:
                raise ValueError(f"{where}: than holds one corpus against another: give corpus too")
        return self

    def trained_on(self, corpus: str) -> list[str]:
        """List the variants that are trained on a corpus."""
        return [name for name, one in self.variants.items() if not one.corpora or corpus in one.corpora]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The contrasts: those that were given, or each variant with the baseline."""
        return self.contrasts or [(name, self.baseline) for name in self.variants if name != self.baseline]


LEAKAGE = "leakage"
"""Stands among figures for what a fresh reader finds of the content in a run's features."""


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        corpus: Name of what it is trained on.
        variant: Its name.
        seed: Its seed.
        config: Its whole configuration.
        folder: Where all of it lies.
    """

    corpus: str
    variant: str
    seed: int
    config: RunConfig
    folder: Path

    def __str__(self) -> str:
        """Such as ``matched/hero/seed-0``."""
        return f"{self.corpus}/{self.variant}/seed-{self.seed}"


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment file.

    Args:
        path: A YAML file.

    Returns:
        What it says.

    Raises:
        ConfigError: There is no such file, it is not YAML, or something in it means nothing.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"no experiment file at {path}; experiments/*.yaml are examples") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        return Experiment.model_validate(parse_yaml(text, str(path)))
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_explain(problem) for problem in error.errors())) from None


def resolve(
    experiment: Experiment, out: Path, overrides: Sequence[str] = (), smoke: bool = False
) -> list[Run]:
    """List the runs of an experiment.

    Args:
        experiment: What is to be done.
        out: The experiment's folder.
        overrides: ``section.key=value`` for every run, applied last.
        smoke: Shrink each to a few steps.

    Returns:
        A run for each corpus, seed and variant, in this order, so that whole comparisons come first.

    Raises:
        ConfigError: A recipe is unknown, or a setting is wrong.
    """
    runs = []
    for corpus, trained_on in experiment.corpora.items():
        configs = {}
        for name in experiment.trained_on(corpus):
            variant = experiment.variants[name]
            shared = [*_flatten(experiment.defaults), *_flatten(trained_on.change)]
            changes = [*shared, *_flatten(variant.change)]
            config = load_config(variant.recipe, changes)
            small = list(_difference(config.model_dump(), config.smoke().model_dump())) if smoke else []
            for seed in experiment.seeds:
                last = [*small, *overrides, f"name={json.dumps(name)}", f"seed={seed}"]
                configs[name, seed] = load_config(variant.recipe, [*changes, *last])
        runs += [
            Run(corpus, name, seed, config, out / "runs" / corpus / name / f"seed-{seed}")
            for (name, seed), config in sorted(configs.items(), key=lambda item: item[0][1])
        ]
    return runs


def fill(source: str, variables: Mapping[str, str]) -> str:
    """Put values into the ``${NAME}`` of a source.

    Args:
        source: Of a corpus or test set.
        variables: Values that were given; others come from the environment.

    Returns:
        The source.

    Raises:
        ConfigError: A variable has no value.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        found = variables.get(name) or os.environ.get(name)
        if not found:
            raise ConfigError(
                f"{source} needs {name}: set the environment variable {name}, or say --set {name}=FOLDER"
            )
        return found

    return _VARIABLE.sub(value, source)


def _flatten(changes: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Give nested changes as ``section.key=value``."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}={json.dumps(value)}"


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in new.items():
        if isinstance(value, Mapping):
            yield from _difference(old[key], value, f"{before}{key}.")
        elif value != old[key]:
            yield f"{before}{key}={json.dumps(value)}"


def _known(where: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    if wrong := [name for name in names if name not in known]:
        raise ValueError(f"{where}: {wrong[0]!r} is none of {', '.join(known)}")


def _explain(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "value_error":
        return f"{where}{': ' if where else ''}{problem['ctx']['error']}"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {where!r}"
    if problem["type"] == "missing":
        return f"{where} is missing"
    return f"{where} = {problem['input']!r:.60}: {problem['msg'].lower()}"
