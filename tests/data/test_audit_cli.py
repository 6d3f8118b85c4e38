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


def test_leaked_scores_are_refused_unless_forced_and_then_marked(run, corpus, tmp_path, tiny_onnx):
    out = tmp_path / "scores.tsv"
    code, _, err = run("score", tiny_onnx, corpus, "--out", out)
    assert code == 0
    assert "audit: content-blind floor" in err
    assert "LEAK: test and train share speaker ['p0']; `evaluate` will refuse" in err
    code, _, err = run("evaluate", out, "--draws", 20)
    assert code == 2
    assert "leaked data: test and train share speaker ['p0']" in err
    code, printed, _ = run("evaluate", out, "--draws", 20, "--force")
    assert code == 0
    assert "leaked data" in printed
    code, printed, _ = run("evaluate", out, "--draws", 20, "--force", "--json")
    assert "leaked data" in json.dumps(json.loads(printed), ensure_ascii=False)
