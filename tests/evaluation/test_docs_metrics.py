"""docs/metrics.md: its code runs, its commands work, the functions that it names exist."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from ringtrue import cli
from ringtrue.evaluation.scores import Scores, write_scores

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str) -> None:
    exec(compile(code, "metrics.md", "exec"), {})


def test_commands_run(tmp_path, monkeypatch, capsys) -> None:
    """One after the other, as they are on the page."""
    monkeypatch.chdir(tmp_path)
    labels = np.repeat(["bonafide", "spoof"], 60)
    columns = {
        "system": np.where(labels == "spoof", np.array(["vits", "flite"])[np.arange(120) % 2], ""),
        "codec": np.array(["opus", "none", "none"])[np.arange(120) % 3],
        "speaker": np.array([f"s{i % 12}" for i in range(120)]),
    }
    for seed, name in enumerate(("hero", "baseline", "dev")):
        values = np.random.default_rng(seed).normal(size=120) + 2 * (labels == "bonafide")
        write_scores(f"{name}.tsv", Scores(np.array([f"t{i}" for i in range(120)]), labels, values, columns))
    words = {"bonafide": "real", "spoof": "fake"}
    Path("scores.txt").write_text("".join(f"t{i} {value!r}\n" for i, value in enumerate(values.tolist())))
    Path("key.csv").write_text(
        "file,label\n" + "".join(f"t{i},{words[label]}\n" for i, label in enumerate(labels))
    )
    (block,) = blocks("bash")
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "ringtrue"
        assert cli.main(arguments) == 0, line
        assert capsys.readouterr().out
    assert Path("report.html").exists()


def test_every_function_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(metrics|hull|tandem|classification|openset)\.(\w+)", PAGE))
    assert len(named) > 15
    for module, function in named:
        assert hasattr(importlib.import_module(f"ringtrue.evaluation.{module}"), function), function
