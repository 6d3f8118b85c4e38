import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from ringtrue.errors import MissingExtraError, RingtrueError, require
from ringtrue.files import (
    atomic_path,
    cache_dir,
    locked,
    sha256_file,
    stable_int,
    sweep,
    write_json,
    write_text,
)


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    write_json(path, {"é": 1.5})
    assert path.read_text(encoding="utf-8") == '{\n  "é": 1.5\n}\n'
    assert [item.name for item in path.parent.iterdir()] == ["a.json"]


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import os, signal, sys\nfrom ringtrue.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t:\n t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    code = "import sys\nfrom ringtrue.files import write_text\nwrite_text(sys.argv[1], 'new')"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert list(tmp_path.iterdir()) == [path]  # what was left half-written has gone with the next writer


def test_what_is_being_written_is_not_taken_for_left_over(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        sweep(tmp_path)
    assert path.read_text() == "new"
    (tmp_path / "deep").mkdir()
    left = [tmp_path / ".ringtrue-part-x.txt", tmp_path / "deep" / ".ringtrue-part-y.flac"]
    for part in left:
        part.touch()
    sweep(tmp_path, below=True)
    assert not any(part.exists() for part in left)
    assert path.exists()


def test_the_file_before_is_kept_where_that_is_asked_for(tmp_path):
    path, previous = tmp_path / "a.txt", tmp_path / "b.txt"
    for text in ("one", "two", "three"):
        with atomic_path(path, previous) as temporary:
            temporary.write_text(text)
    assert (path.read_text(), previous.read_text()) == ("three", "two")
    with pytest.raises(RuntimeError), atomic_path(path, previous):
        raise RuntimeError
    assert (path.read_text(), previous.read_text()) == ("three", "two")


def test_one_process_at_a_time_holds_a_folder(tmp_path):
    with locked(tmp_path / "new") as first, locked(tmp_path / "new", wait=False) as second:
        assert (first, second) == (True, False)
    with locked(tmp_path / "new", wait=False) as third:
        assert third
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom ringtrue.files import locked\n"
        "with locked(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    with locked(tmp_path, waiting=lambda: pytest.fail("a killed process holds no lock")) as fourth:
        assert fourth


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on file size stands in for a full disk: the write fails half way."""
    path = tmp_path / "a.txt"
    write_text(path, "old")
    code = (
        "import resource, signal, sys\nfrom ringtrue.files import write_text\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_text(sys.argv[1], 'x' * 5000)\nexcept OSError as e: print(e.strerror)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "too large" in done.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_that_is_not_json_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_hashes_are_the_same_everywhere(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 1_000_000)
    assert sha256_file(path) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    assert stable_int("speaker", 3) == 4521370386179874455  # a change here would move every split


def test_the_cache_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("RINGTRUE_CACHE", "/a/b")
    assert cache_dir() == Path("/a/b")
    monkeypatch.delenv("RINGTRUE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir() == Path("/x/ringtrue")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "ringtrue"


def test_a_missing_extra_is_named():
    with pytest.raises(MissingExtraError, match=r"pip install 'ringtrue\[hub\]'"):
        require("no_such_module_anywhere", "hub")


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(RingtrueError, match="not a regular file"):
            write_text(path, "x")
    assert (tmp_path / "pipe").is_fifo()
