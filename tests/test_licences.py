"""Every dependency has a licence that fits, and stands in docs/licences.md."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "licences.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="only in the repository")


def check(*path):
    code = f"import sys; sys.path[:0] = {[str(one) for one in path]}; sys.argv = ['x']\n"
    code += f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_all_of_them_fit_and_are_listed():
    done = check()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("License-Expression: AGPL-3.0-only", "soxr: AGPL-3.0-only does not fit Apache-2.0"),
        ("License-Expression: MIT AND GPL-3.0-only", "soxr: MIT AND GPL-3.0-only does not fit"),
        ("License: as is", "soxr: its licence is not known"),
    ],
)
def test_one_that_does_not_fit_or_is_not_known_is_a_failure(metadata, said, tmp_path):
    """A package of that name that lies first on the path stands for the next version of it."""
    folder = tmp_path / "soxr-9.9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: soxr\nVersion: 9.9\n{metadata}\n")
    done = check(tmp_path)
    assert done.returncode == 1
    assert said in done.stderr


def test_one_that_is_not_listed_or_pinned_to_another_version_is_told():
    script = runpy.run_path(str(SCRIPT))
    rows = script["DOCUMENT"].read_text(encoding="utf-8").partition("| --- |\n")[2]
    assert script["gaps"](rows, {"soxr"}) == []
    older = re.sub(r"\| soxr \| \S+", "| soxr | 0.1", rows)
    lines = script["gaps"](older, {"soxr", "newcomer"})
    assert lines[0].startswith("newcomer: not in licences.md; install ringtrue[all,dev]")
    assert re.match(r"soxr: constraints.txt pins [\d.]+, and licences.md has 0\.1; ", lines[1])
    assert len(lines) == 2
