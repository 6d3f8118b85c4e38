"""docs/tracing.md: its settings load, its commands parse, its functions exist."""

import re
import shlex
from pathlib import Path

from ringtrue.cli import _parser
from ringtrue.tracing import two_stage
from ringtrue.tracing.settings import Settings, load_settings

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def test_its_settings_are_the_defaults(tmp_path):
    (text,) = blocks("yaml")
    (tmp_path / "x.yaml").write_text(text)
    assert load_settings(tmp_path / "x.yaml") == Settings()


def test_its_commands_parse():
    lines = [line.split("#")[0] for block in blocks("") for line in block.splitlines()]
    commands = [c.strip() for line in lines for c in re.split(r"\s{4,}(?=ringtrue)", line) if "ringtrue" in c]
    assert len(commands) >= 6
    for command in commands:
        assert _parser().parse_args(shlex.split(command)[1:]).run


def test_its_functions_exist():
    (text,) = blocks("python")
    for name in re.findall(r"\b([A-Za-z_]+)\(", text):
        assert hasattr(two_stage, name) or name in ("classifier", "print"), name
