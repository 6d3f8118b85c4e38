"""`ringtrue corpus audit`, and what `score` and `evaluate` say of leaked data, as a user meets them."""

import json

import pytest

from ringtrue import cli
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.data.trials import Trial, write_manifest


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("ringtrue.data.audit._TREES", 50)

    def run(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def corpus(tmp_path, encode, speechlike):
    """Four people and four machine voices, these at 8 kHz; `p0` is in train and in test."""
    rows = []
    for number in range(32):
        human, split = number % 2 == 0, "train" if number < 16 else "test"
        rate_hz = 16_000 if human else 8_000
        name = f"{number}.wav"
        (tmp_path / name).write_bytes(encode("wav", speechlike(0.6, seed=number, rate_hz=rate_hz), rate_hz))
        voice = number // 2 % 2 + (0 if split == "train" or number == 16 else 2)
        rows.append(
            Trial(
                name, name, "bonafide" if human else "spoof", system="" if human else f"{split} system",
                speaker=f"{'p' if human else 'v'}{voice}", split=split,
            )
        )  # fmt: skip
    path = tmp_path / "manifest.tsv"
    write_manifest(path, rows)
    return path


def test_the_audit_says_what_solves_it_and_what_leaks(run, corpus, tmp_path):
    code, out, err = run("corpus", "audit", corpus)
    verdict, *lines = out.splitlines()
    assert code == 0
    assert verdict.startswith("content-blind floor 0.0 % EER: CONFOUNDED")
    assert "rate 1.00" in verdict
    assert "LEAKS: test and train share speaker ['p0']" in verdict
    assert "LEAK: test and train share speaker ['p0']" in lines
    assert any(line.startswith("learnt on train, judged on test: content-blind floor") for line in lines)
    assert any(line.startswith("Cramer's V of the label and rate 1.00") for line in lines)
    assert (
        sum(line.startswith(("level_db", "silence_share", "bandwidth_hz", "duration_s")) for line in lines)
        == 8
    )
    code, _, err = run("corpus", "audit", corpus, "--matched", tmp_path / "matched.tsv")
    if code == 0:  # a few pairs may lie within the caliper
        assert len({t.label for t in read_manifest(tmp_path / "matched.tsv")}) == 2
    else:
        assert "no recordings of the two labels match" in err


@pytest.mark.parametrize("model", ["a detector", "content-blind"])
def test_leaked_scores_are_refused_unless_forced_and_then_marked(run, corpus, tmp_path, tiny_onnx, model):
    out = tmp_path / "scores.tsv"
    code, _, err = run("score", tiny_onnx if model == "a detector" else model, corpus, "--out", out)
    assert code == 0
    (line,) = [line for line in err.splitlines() if line.startswith("audit: ")]
    assert line.startswith("audit: content-blind floor ") and " % EER: CONFOUNDED" in line
    assert line.endswith("LEAKS: test and train share speaker ['p0']")
    assert "LEAK: test and train share speaker ['p0']; `evaluate` will refuse" in err
    code, _, err = run("evaluate", out, "--draws", 20)
    assert code == 2
    assert "leaked data: test and train share speaker ['p0']" in err
    code, printed, err = run("evaluate", out, "--draws", 20, "--force")
    assert code == 0
    assert "FORCED, scores: leaked data" in printed
    assert f"scores: {line}" in err.splitlines()
    code, printed, _ = run("evaluate", out, "--draws", 20, "--force", "--json")
    assert "leaked data" in json.dumps(json.loads(printed), ensure_ascii=False)


def test_scores_are_made_again_where_what_leaks_has_changed(run, corpus, tmp_path, tiny_onnx):
    out = tmp_path / "scores.tsv"
    trials = read_manifest(corpus)
    whole = [trial for trial in trials if not (trial.split == "train" and trial.speaker == "p0")]
    write_manifest(corpus.with_name("whole.tsv"), whole)
    run("score", tiny_onnx, corpus.with_name("whole.tsv"), "--out", out)
    assert run("evaluate", out, "--draws", 20)[0] == 0
    assert "scored" in run("score", tiny_onnx, corpus, "--out", out)[1]  # the same trials and model
    assert run("evaluate", out, "--draws", 20)[0] == 2


def test_scores_from_elsewhere_have_no_verdict_and_it_is_said(run, tmp_path):
    rows = [f"t{n}\t{'spoof' if n % 2 else 'bonafide'}\t{(n * 7) % 11 - 4.5 * (n % 2)}" for n in range(80)]
    (tmp_path / "theirs.tsv").write_text("\n".join(["trial\tlabel\tscore", *rows]) + "\n")
    code, _, err = run("evaluate", tmp_path / "theirs.tsv", "--draws", 20)
    assert code == 0
    assert "theirs: audit: not known; `ringtrue score` notes it" in err


def test_training_says_what_its_corpus_is_worth(run, corpus, tmp_path, monkeypatch):
    """The whole corpus tells what leaks, though only its training side is surveyed."""
    from ringtrue import pipeline

    class ReachedError(Exception):
        pass

    def stop(*arguments):
        raise ReachedError

    monkeypatch.setattr(pipeline, "prepare_units", stop)
    lines = []
    monkeypatch.setattr("ringtrue.cli.train.say", lines.append)
    with pytest.raises(ReachedError):
        run("train", "baseline", "--corpus", corpus, "--out", tmp_path / "run")
    (line,) = [line for line in lines if line.startswith("audit: ")]
    assert "CONFOUNDED" in line
    assert line.endswith("LEAKS: test and train share speaker ['p0']")
