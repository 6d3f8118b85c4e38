"""The command line as a user meets it: words in, lines and exit codes out, never a traceback."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ringtrue import cli
from ringtrue.data.trials import Trial, write_manifest


@pytest.fixture
def run(capsys, tiny_onnx, monkeypatch):
    """Run the command line: `run("check", "a.wav")` -> (exit code, standard output, standard error)."""
    monkeypatch.setenv("RINGTRUE_MODEL", str(tiny_onnx))

    def run(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def decided(monkeypatch):
    """Make every window score alike: `decided(5.0)`."""
    from ringtrue.inference.runtime import Detector

    def decide(score):
        monkeypatch.setattr(Detector, "score_windows", lambda self, windows: np.full(len(windows), score))

    return decide


@pytest.mark.parametrize(
    ("score", "word", "code"), [(5.0, "BONA FIDE", 0), (-5.0, "SPOOF", 1), (0.0, "INCONCLUSIVE", 3)]
)
def test_the_exit_code_is_the_verdict(run, decided, speech_path, score, word, code):
    decided(score)
    got, out, _ = run("check", speech_path)
    assert got == code
    assert word in out
    assert out.startswith(str(speech_path))


def test_json_is_one_object_a_line(run, decided, speech_path, tmp_path):
    decided(5.0)
    broken = tmp_path / "broken.wav"
    broken.write_text("this is text")
    code, out, err = run("check", "--json", speech_path, broken, speech_path)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    assert [row.get("decision", "error") for row in rows] == ["bona fide", "error", "bona fide"]
    assert rows[1]["name"] == str(broken)
    assert err.count("\n") == 1


def bad_files(folder, encode, speechlike):
    """Every kind of bad input, by name; None stands for a file that gets a verdict all the same."""
    good = encode("wav", speechlike(2.0))
    nan = speechlike(1.0).copy()
    nan[500] = np.nan
    files = {
        "empty.wav": b"",
        "text.wav": b"Dear sir, this is not a recording at all. " * 20,
        "header_only.wav": encode("wav", np.zeros(0, np.float32)),
        "nan.wav": encode("wav_float", nan),
        "picture.mp4": encode("mp4", speechlike(1.0), picture=True, sound=False),
        "random.flac": os.urandom(5_000),
    }
    fine = {
        "one_sample.wav": encode("wav", np.full(1, 0.5, np.float32)),
        "telephone.wav": encode("wav", speechlike(2.0, rate_hz=8_000), 8_000),
        "studio.wav": encode("wav24", speechlike(2.0, rate_hz=96_000), 96_000),
        "surround.wav": encode("wav", np.stack([speechlike(2.0)] * 7, axis=1)),
        "really_wav.mp3": good,
        "cut.wav": good[: len(good) // 2],
        "cut.mp3": encode("mp3", speechlike(3.0))[:9_000],
    }
    for name, content in {**files, **fine}.items():
        (folder / name).write_bytes(content)
    return sorted(files), sorted(fine)


def test_bad_files_cost_only_themselves(run, encode, speechlike, tmp_path):
    bad, fine = bad_files(tmp_path, encode, speechlike)
    code, out, err = run("check", *(tmp_path / name for name in [*bad, "missing.wav", *fine]))
    assert code == 2
    complaints = err.splitlines()
    assert len(complaints) == len(bad) + 1
    for name, line in zip([*bad, "missing.wav"], complaints, strict=True):
        assert name in line
        assert line.startswith("ringtrue: ")
    verdicts = [line for line in out.splitlines() if not line.startswith("  ")]
    assert [line.split(":")[0] for line in verdicts] == [str(tmp_path / name) for name in fine]


def test_warnings_are_printed(run, encode, speechlike, tmp_path):
    bad_files(tmp_path, encode, speechlike)
    _, out, _ = run("check", tmp_path / "cut.wav", tmp_path / "one_sample.wav")
    assert "ends early" in out
    assert "too little for a decision" in out


def test_a_folder_is_its_recordings(run, decided, encode, speechlike, tmp_path):
    decided(5.0)
    (tmp_path / "deep").mkdir()
    for name in ("b.wav", "deep/a.FLAC", "notes.txt"):
        (tmp_path / name).write_bytes(encode("flac" if "FLAC" in name else "wav", speechlike(1.5)))
    code, out, _ = run("check", tmp_path)
    assert code == 0
    assert out.count("BONA FIDE") == 2
    (tmp_path / "empty").mkdir()
    code, _, err = run("check", tmp_path / "empty")
    assert code == 2
    assert "holds no audio; accepted: .aac" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(run, speech_path, tmp_path):
    path = tmp_path / "secret.flac"
    path.write_bytes(speech_path.read_bytes())
    path.chmod(0)
    assert run("check", path)[0] == 2


def test_a_missing_model_is_one_line(run, speech_path):
    code, _, err = run("check", "--model", "nothing.onnx", speech_path)
    assert code == 2
    assert err == "ringtrue: no model at nothing.onnx; give an .onnx file that `ringtrue export` wrote\n"


def test_wrong_usage_is_exit_code_two():
    done = subprocess.run(
        [sys.executable, "-m", "ringtrue", "chek"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "invalid choice: 'chek'" in done.stderr


def test_a_closed_pipe_is_no_verdict(tiny_onnx, speech_path):
    command = f"{sys.executable} -m ringtrue check --model {tiny_onnx} {speech_path} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 141
    assert done.stderr == ""


def test_names_that_no_terminal_can_show(tiny_onnx, speech_path, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xc5\x99e\xc4\x8d.flac"
    with open(path, "wb") as file:
        file.write(speech_path.read_bytes())
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "ringtrue", "check", "--model", str(tiny_onnx), *more, path],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            check=False,
        )
        assert done.returncode in (0, 1, 3)
        assert b".flac" in done.stdout
        assert done.stderr == b""


def test_nothing_is_left_in_the_users_home(tiny_onnx, speech_path, tmp_path):
    """ONNX Runtime keeps a device id and a store of events unless it is told not to."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_", "RINGTRUE_"))}
    subprocess.run(
        [sys.executable, "-m", "ringtrue", "check", "--model", str(tiny_onnx), str(speech_path)],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert list(tmp_path.iterdir()) == []


def test_without_the_train_extra_the_message_names_it(tiny_onnx, tmp_path):
    code = (
        "import sys\nfor name in ('torch', 'yaml', 'pydantic', 'sklearn'): sys.modules[name] = None\n"
        "from ringtrue.cli import main\nsys.exit(main(['train', 'hero', '--corpus', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("pip install 'ringtrue[train]'\n")
    assert "Traceback" not in done.stderr


@pytest.fixture
def corpus(tmp_path, encode, speechlike):
    rows = []
    for index in range(8):
        name = f"{index}.flac"
        (tmp_path / name).write_bytes(encode("flac", speechlike(1.0 + index / 4, seed=index)))
        human = index % 2 == 0
        rows.append(
            Trial(
                f"t{index}", name, "bonafide" if human else "spoof", system="" if human else "s",
                speaker=f"p{index}", language="cs", split="test", duration_s=1.0 + index / 4,
            )
        )  # fmt: skip
    write_manifest(tmp_path / "manifest.tsv", rows)
    return tmp_path


def test_score_then_evaluate(run, corpus, tmp_path, tiny_onnx):
    out = tmp_path / "scores.tsv"
    code, printed, _ = run("score", tiny_onnx, corpus, "--out", out)
    assert code == 0
    assert "8 trials scored, 0 could not be read" in printed
    comment, header, *rows = out.read_text().splitlines()
    assert json.loads(comment[2:])["runtime"].startswith("onnxruntime")
    assert header.startswith("trial\tlabel\tscore\tsystem\tspeaker")
    assert len(rows) == 8
    code, printed, _ = run("evaluate", out)
    assert code == 0
    assert "4 bona fide trials of 4 speakers" in printed
    code, printed, _ = run("evaluate", out, "--json")
    assert json.loads(printed)["rows"][0]["name"] == "scores"
    stamp = out.stat().st_mtime_ns
    run("score", tiny_onnx, corpus, "--out", out)
    assert out.stat().st_mtime_ns == stamp  # the same model and trials are not scored twice


def test_the_floor_of_an_evaluation_comes_from_the_same_audio(run, corpus, tmp_path, tiny_onnx):
    text = (corpus / "manifest.tsv").read_text()
    rows = text.splitlines()
    column = rows[0].split("\t").index("split")
    for number in range(1, 5):  # half of it trains the classifier
        cells = rows[number].split("\t")
        cells[column] = "train"
        rows[number] = "\t".join(cells)
    (corpus / "manifest.tsv").write_text("\n".join(rows) + "\n")
    assert run("score", tiny_onnx, corpus, "--out", tmp_path / "model.tsv")[0] == 0
    assert run("score", "content-blind", corpus, "--out", tmp_path / "floor.tsv")[0] == 0
    code, out, _ = run("evaluate", "--force", tmp_path / "model.tsv", "--floor", tmp_path / "floor.tsv")
    assert code == 0
    assert "content-blind floor" in out


def test_score_refuses_a_split_that_is_not_there_and_too_many_bad_files(run, corpus, tmp_path, tiny_onnx):
    code, _, err = run("score", tiny_onnx, corpus, "--split", "dev")
    assert (code, "has none in this split" in err) == (2, True)
    (corpus / "3.flac").write_bytes(b"broken")
    code, _, err = run("score", tiny_onnx, corpus, "--out", tmp_path / "s.tsv")
    assert code == 2
    assert "1 of 8 recordings cannot be read, more than 5%" in err


def test_describe_and_list(run, corpus):
    code, out, _ = run("corpus", "describe", corpus)
    assert code == 0
    assert [line.split()[:5] for line in out.splitlines()[1:]] == [
        ["test", "bonafide", "4", "4", "0.00"],
        ["test", "spoof", "s", "4", "4"],
    ]
    assert "starter-small" in run("corpus", "list")[1]


def test_export_pth(run, tiny_onnx, tmp_path):
    code, out, _ = run(
        "export", tiny_onnx.with_suffix(".safetensors"), "--format", "pth", "--out", tmp_path / "a.pth"
    )
    assert (code, out.strip()) == (0, str(tmp_path / "a.pth"))
    assert run("export", tmp_path / "a.pth")[0] == 2


def test_a_wrong_configuration_key_suggests_the_right_one(run, tmp_path, corpus):
    path = tmp_path / "my.yaml"
    path.write_text("training: {epoch: 3}\n")
    code, _, err = run("train", path, "--corpus", corpus)
    assert code == 2
    assert "unknown key 'training.epoch'; did you mean 'epochs'?" in err


def test_scoring_needs_no_train_extra(corpus, tiny_onnx, tmp_path):
    code = (
        "import sys\nfor name in ('torch', 'yaml', 'pydantic', 'sklearn'): sys.modules[name] = None\n"
        "from ringtrue.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    words = ["score", str(tiny_onnx), str(corpus), "--out", str(tmp_path / "s.tsv")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "8 trials scored" in done.stdout


def test_other_recordings_under_the_same_ids_are_scored_anew(
    run, corpus, tmp_path, tiny_onnx, encode, speechlike
):
    out = tmp_path / "scores.tsv"
    run("score", tiny_onnx, corpus, "--out", out)
    before = out.read_text()
    (corpus / "3.flac").write_bytes(encode("flac", speechlike(1.75, seed=77)))
    run("score", tiny_onnx, corpus, "--out", out)
    changed = [
        a.split("\t")[0]
        for a, b in zip(before.splitlines(), out.read_text().splitlines(), strict=True)
        if a != b
    ]
    assert changed[1:] == ["t3"]  # and the comment line, which names the recordings


def test_a_full_disk_is_one_line_and_work_already_done_is_kept(corpus, tiny_onnx, tmp_path):
    """A limit on file size stands in for a full disk."""
    out = tmp_path / "scores.tsv"
    code = (
        "import resource, signal, sys\nfrom ringtrue.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\nsys.exit(main(sys.argv[1:]))"
    )
    words = ["score", str(tiny_onnx), str(corpus), "--out", str(out)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "ringtrue: File too large"
    assert "Traceback" not in done.stderr
    assert not out.exists()
    assert cli.main([*words]) == 0


def test_one_odd_argument_costs_only_itself(run, decided, speech_path, tmp_path):
    decided(5.0)
    (tmp_path / "empty").mkdir()
    code, out, err = run("check", tmp_path / "empty", "x" * 300, speech_path, "/dev/null")
    assert code == 2
    assert out.count("BONA FIDE") == 1
    assert len(err.splitlines()) == 3


def test_hidden_files_of_a_folder_are_no_recordings(run, decided, speech_path, tmp_path):
    decided(5.0)
    (tmp_path / "a.flac").write_bytes(speech_path.read_bytes())
    (tmp_path / "._a.flac").write_bytes(b"what another system keeps beside it")
    code, out, _ = run("check", tmp_path)
    assert (code, out.count("BONA FIDE")) == (0, 1)


def test_help_imports_no_command_and_a_command_only_its_own():
    code = (
        "import sys\nfrom ringtrue import cli\ncli._parser(sys.argv[1])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('ringtrue.cli.')))"
    )
    for word, modules in (
        ("", "ringtrue.cli.terminal"),
        ("demo", "ringtrue.cli.terminal ringtrue.cli.train"),
    ):
        done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True, check=True)
        assert done.stdout.split() == modules.split()


def test_every_command_in_the_help_can_be_run():
    (commands,) = [action for action in cli._parser()._actions if action.dest == "command"]
    for parser in commands.choices.values():
        assert callable(parser.get_default("run"))
