"""The README's commands and code do what it says; links and the tree are true."""

import re
import shlex
from pathlib import Path

import pytest

from ringtrue import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_RUN_HERE = (
    "make ",
    "pip ",
    "git ",
    "cd ",
    "python3 ",
    "ringtrue demo",
    "ringtrue train",
    "ringtrue corpus prepare",
    "ringtrue score",
    "ringtrue listen",  # wants a microphone
    "ringtrue serve",  # until it is stopped
    "ringtrue experiment",  # trains for hours
)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def desk(tmp_path, monkeypatch, encode, speechlike, tiny_onnx):
    """A folder with what the examples name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RINGTRUE_MODEL", str(tiny_onnx))
    (tmp_path / "clip.wav").write_bytes(encode("wav", speechlike(3.0)))
    (tmp_path / "call.m4a").write_bytes(encode("m4a", speechlike(9.0)))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.mp3").write_bytes(encode("mp3", speechlike(3.0)))
    rows = [f"t{i}\t{label}\t{i % 7}.5" for i, label in enumerate(["bonafide", "spoof"] * 10)]
    (tmp_path / "scores.tsv").write_text("\n".join(["trial\tlabel\tscore", *rows]) + "\n")
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code, desk, capsys):
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})


def commands():
    lines = "\n".join(blocks("bash")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def test_the_two_commands_are_there():
    assert {"make demo", "make test"} <= set(commands())


@pytest.mark.parametrize("line", [line for line in commands() if not line.startswith(NOT_RUN_HERE)])
def test_commands_run(line, desk, capsys):
    program, *words = shlex.split(line)
    assert program == "ringtrue"
    assert cli.main(words) in (0, 1, 3)  # a verdict of any kind; 2 would be an error


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("ringtrue")])
def test_commands_have_options_that_exist(line):
    cli._parser().parse_args(shlex.split(line)[1:])


def test_every_file_that_the_tree_names_exists():
    (tree,) = [block for block in blocks("text") if "src/ringtrue/" in block]
    folders = {0: ROOT}
    for line in tree.splitlines():
        if not (found := re.match(r"( *)([\w./-]+)", line)):
            continue
        depth, name = len(found[1]) // 2, found[2]
        path = folders[depth] / name
        assert path.exists(), name
        folders[depth + 1] = path


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", README):
        assert (ROOT / target).exists(), target
