"""Score and key files of other people: every layout, joined or separate, and one clear line where they are wrong."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ringtrue.errors import ScoresError
from ringtrue.evaluation import names, reading
from ringtrue.evaluation.reading import read_columns
from ringtrue.evaluation.scores import read_scores

CONFORMANCE = Path(__file__).parents[3] / "shared" / "conformance" / "asvspoof2019_la"
TRIALS, LABELS = ["u1", "u2", "u3"], ["bonafide", "spoof", "spoof"]
SCORES = "u1 2.5\nu3 -1\nu2 0.5\n"

JOINED = {
    "ringtrue": "trial\tlabel\tscore\tsystem\nu1\tbonafide\t2.5\t\nu2\tspoof\t0.5\tA07\nu3\tspoof\t-1\tA08\n",
    "asvspoof2019": "u1 A00 bonafide 2.5\nu2 A07 spoof 0.5\nu3 A08 spoof -1\n",
    "asvspoof5 README": "s u1 2.5 bonafide\ns u2 0.5 spoof\ns u3 -1 spoof\n",
    "codecfake": "u1 2.5 bonafide\nu2 0.5 spoof\nu3 -1 spoof\n",
    "label first": "u1 bonafide 2.5\nu2 spoof 0.5\nu3 spoof -1\n",
    "csv": 'Filename,CM-Score,Label,"note, free"\nu1,2.5,bonafide,"a, b"\nu2,0.5,spoof,\nu3,-1,spoof,c\n',
    "windows": "\ufefftrial\tlabel\tscore\r\nu1\tbonafide\t2.5\r\n\r\nu2\tspoof\t0.5\r\nu3\tspoof\t-1\r\n",
}

KEYS = {
    "plain": "u1 bonafide\nu2 spoof\nu3 spoof\n",
    "asvspoof2019 protocol": "LA_1 u1 - - bonafide\nLA_1 u2 - A07 spoof\nLA_2 u3 - A08 spoof\n",
    "asvspoof2021 LA": "LA_1 u1 alaw ita_tx bonafide bonafide notrim eval\n"
    "LA_1 u2 none - A07 spoof notrim eval\nLA_2 u3 alaw ita_tx A08 spoof notrim eval\n",
    "asvspoof2021 DF": "LA_1 u1 nocodec asvspoof - bonafide notrim eval bonafide - - - -\n"
    "LA_1 u2 low_mp3 vcc2018 A07 spoof notrim eval neural_vocoder_autoregressive - - - -\n"
    "LA_2 u3 low_mp3 vcc2018 A08 spoof notrim eval traditional_vocoder - - - -\n",
    "asvspoof5 protocol": "T_1 u1 M - - - - bonafide bonafide -\n"
    "T_1 u2 F C01 5 u9 AC3 A07 spoof -\nT_2 u3 F - - - AC1 A08 spoof -\n",
    "asvspoof5 key": "filename\tcm-label\nu1\tbonafide\nu2\tspoof\nu3\tspoof\n",
    "asvspoof5 full key": "trial_anon tar_spk_anon attack_anon codec asv-label cm-label track_2_tag\n"
    "u1 s bonafide - target bonafide x\nu2 s A07 - spoof spoof x\nu3 s A08 C02 spoof spoof x\n",
}


@pytest.mark.parametrize("kind", JOINED)
def test_scores_and_labels_in_one_file(kind: str, tmp_path) -> None:
    path = tmp_path / "scores"
    path.write_text(JOINED[kind], encoding="utf-8", newline="")
    scores = read_scores(path)
    assert (scores.trials.tolist(), scores.labels.tolist()) == (TRIALS, LABELS)
    assert scores.scores.tolist() == [2.5, 0.5, -1.0]
    if "system" in scores.columns:
        assert scores.column("system").tolist() == ["", "A07", "A08"]


@pytest.mark.parametrize("header", ["", "filename\tcm-score\n"])
@pytest.mark.parametrize("kind", KEYS)
def test_scores_and_key_apart(kind: str, header: str, tmp_path) -> None:
    """The order is that of the scores; what the key knows is joined by id."""
    (tmp_path / "scores.txt").write_text(header + (SCORES.replace(" ", "\t") if header else SCORES))
    (tmp_path / "key.txt").write_text(KEYS[kind])
    scores = read_scores(tmp_path / "scores.txt", tmp_path / "key.txt")
    assert scores.trials.tolist() == ["u1", "u3", "u2"]
    assert scores.labels.tolist() == ["bonafide", "spoof", "spoof"]
    assert scores.scores.tolist() == [2.5, -1.0, 0.5]
    if "system" in scores.columns:
        assert scores.column("system").tolist() == ["", "A08", "A07"]
    if "2021" in kind:
        assert scores.column("codec").tolist()[0] == ("alaw" if "LA" in kind else "nocodec")


def arena(path: Path, **columns: object) -> None:
    """Write the arena's Parquet, sound included, as the `datasets` library does."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    notes = [
        json.dumps({"utterance_id": t, "attack_id": a, "codec": None})
        for t, a in zip(TRIALS, ["-", "A07", "A08"], strict=True)
    ]
    table = pa.table(
        {
            "path": [f"{t}.flac" for t in TRIALS],
            "audio": [{"bytes": b"x", "path": ""}] * 3,
            "label": [0, 1, 1],
            "notes": notes,
        }
        | columns
    )
    features = {"label": {"names": ["bonafide", "spoof"], "_type": "ClassLabel"}}
    parquet.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path
    )


def test_arena_scores_with_its_parquet_as_key(tmp_path) -> None:
    """Its label 1 is spoof; the file itself says so, nothing is guessed."""
    arena(tmp_path / "test.parquet")
    (tmp_path / "scores.txt").write_text(SCORES)
    scores = read_scores(tmp_path / "scores.txt", tmp_path / "test.parquet")
    assert scores.labels.tolist() == ["bonafide", "spoof", "spoof"]
    assert scores.column("system").tolist() == ["", "A08", "A07"]


def test_parquet_scores(tmp_path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table(
        {"utt": TRIALS, "label": LABELS, "score": [2.5, 0.5, -1.0], "attack": [None, "A07", "A08"]}
    )
    parquet.write_table(table, tmp_path / "s.parquet")
    scores = read_scores(tmp_path / "s.parquet")
    assert scores.scores.tolist() == [2.5, 0.5, -1.0]
    assert scores.column("system").tolist() == ["", "A07", "A08"]


def test_other_words_for_labels_and_columns_when_told(tmp_path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("file,truth,p1,p2\nu1,1,0.9,2.5\nu2,0,0.1,0.5\nu3,0,0.2,-1\n")
    told = {"label": "truth", "score": "p2"}
    scores = read_scores(path, labels={"1": "bonafide", "0": "spoof"}, columns=told)
    assert (scores.labels.tolist(), scores.scores.tolist()) == (LABELS, [2.5, 0.5, -1.0])
    path.write_text("0.9 u1 real\n0.1 u2 fake\n")
    scores = read_scores(
        path, labels={"real": "bonafide", "fake": "spoof"}, columns={"trial": "2", "score": "1", "label": "3"}
    )
    assert scores.trials.tolist() == ["u1", "u2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("u1 0.5 2 7\n", "line 1: .* neither a header with trial, label, score nor a layout"),
        ("u1 1 0\nu2 0 1\n", "could be trial score label or trial label score"),
        ("u1 0.5\n", "it lacks label: a key file with --key brings labels"),
        ("file,utt,score,label\na,b,1,spoof\n", "file and utt could each be the trial: say --column trial=NAME"),
        ("trial,label,score\nu1,spoof,1\nu2,Fake,1\n", "line 3: label 'Fake' among .*; .* --label Fake=spoof"),
        ("trial,label,score\nu1,,1\nu2,spoof,1\n", "line 2: label '' .* 1 trials are unlabelled"),
        ("trial,label,score\nu1,cat,1\n", "say --label cat=bonafide or cat=spoof"),
        ("trial,label,score\nu1,spoof,1\n\nu1,spoof,1\n", "line 4: the trial 'u1' occurs more than once"),
    ],
)  # fmt: skip
def test_ambiguous_files_get_one_line_with_a_remedy(text: str, said: str, tmp_path) -> None:
    path = tmp_path / "s.txt"
    path.write_text(text)
    with pytest.raises(ScoresError, match=said) as caught:
        read_scores(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"score": "logit"}, "none is called 'logit'"),
        ({"trial": "7"}, "none is called '7'"),
    ],
)
def test_columns_that_are_not_there(columns, said: str, tmp_path) -> None:
    (tmp_path / "s.csv").write_text("trial,label,score\nu1,spoof,1\n")
    with pytest.raises(ScoresError, match=said):
        read_scores(tmp_path / "s.csv", columns=columns)


@pytest.mark.parametrize(
    ("scores", "key", "said"),
    [
        ("x1 1\nx2 2\n", KEYS["plain"], "have no trial in common: the scores name 'x1', the key 'u1'$"),
        ("d/u1.wav 1\n", KEYS["plain"], "they would match without folder or suffix: rename one side"),
        (
            "u1 1\nx2 2\n",
            KEYS["plain"],
            r"2 of the key's 3 trials have no score \['u2', 'u3'\] and 1 .* \['x2'\]",
        ),
        ("u1 1\nu1 2\n", KEYS["plain"], "scores.txt, line 2: the trial 'u1' occurs more than once"),
        (SCORES, KEYS["plain"] + "u1 spoof\n", "key.txt, line 4: the trial 'u1' occurs more than once"),
        (SCORES, "u1 1\nu2 0\nu3 0\n", "key.txt, line 1: label '1' .* corpora disagree"),
        ("u1 1 spoof\nu2 2 spoof\nu3 1 spoof\n", KEYS["plain"], "calls 'u1' 'spoof' and .* 'bonafide'"),
    ],
)
def test_scores_and_keys_that_do_not_belong_together(scores: str, key: str, said: str, tmp_path) -> None:
    (tmp_path / "scores.txt").write_text(scores)
    (tmp_path / "key.txt").write_text(key)
    with pytest.raises(ScoresError, match=said):
        read_scores(tmp_path / "scores.txt", tmp_path / "key.txt")


def test_force_judges_what_is_in_both_and_says_so(tmp_path) -> None:
    (tmp_path / "scores.txt").write_text("u2 1\nx2 2\nu1 3\n")
    (tmp_path / "key.txt").write_text(KEYS["plain"])
    scores = read_scores(tmp_path / "scores.txt", tmp_path / "key.txt", force=True)
    assert (scores.trials.tolist(), scores.scores.tolist()) == (["u2", "u1"], [1.0, 3.0])
    (forced,) = scores.metadata["forced"]
    assert "1 of the key's 3 trials have no score ['u3']" in forced


@pytest.mark.parametrize("rows", [1, 2, 3, 1000])
def test_pieces_make_no_difference(rows: int, tmp_path, monkeypatch) -> None:
    path = tmp_path / "s.tsv"
    path.write_text("trial\tscore\n" + "".join(f"{'u' * (i % 9)}{i}\t{i / 7}\n\n" for i in range(50)))
    monkeypatch.setattr(reading, "_ROWS", rows)
    monkeypatch.setattr(reading, "_LETTERS", 10 * rows)
    monkeypatch.setattr(names, "_BLOCK", 7)
    monkeypatch.setattr(names, "_PIECE", 4)
    table = read_columns(path, ("trial", "score"))
    assert table.scores is not None
    assert table.scores.tolist() == [i / 7 for i in range(50)]
    assert table.text["trial"].tolist() == [f"{'u' * (i % 9)}{i}" for i in range(50)]


def test_memory_is_less_than_the_file(tmp_path, monkeypatch) -> None:
    """A name's bytes, a byte for label and system, 8 for a score, once each; a hash a trial while none may repeat."""
    path, rows = tmp_path / "s.tsv", 300_000
    with open(path, "w", encoding="utf-8") as file:
        file.write("trial\tsystem\tlabel\tscore\n")
        file.writelines(f"LA_E_{i:08d}\tA{i % 13:02d}\tspoof\t{i / 7:.6f}\n" for i in range(rows))
    monkeypatch.setattr(names, "_BLOCK", 1 << 16)
    tracemalloc.start()
    try:
        scores = read_scores(path)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert scores.trials.nbytes == 13 * rows
    assert kept < rows * (13 + 1 + 1 + 8) + 500_000
    assert peak < rows * (13 + 1 + 1 + 8 + 8) + 4_000_000
    assert peak < path.stat().st_size + 1_000_000


@pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="no ../shared/conformance: published scores are not ours"
)
def test_published_scores_joined_with_the_official_protocol(tmp_path) -> None:
    both = read_scores(CONFORMANCE / "aasist_eval_scores.txt")
    rows = zip(both.trials.tolist(), both.scores.tolist(), strict=True)
    (tmp_path / "scores.txt").write_text("".join(f"{trial} {score!r}\n" for trial, score in rows))
    apart = read_scores(tmp_path / "scores.txt", CONFORMANCE / "ASVspoof2019.LA.cm.eval.trl.txt")
    assert np.array_equal(apart.labels, both.labels)
    assert np.array_equal(apart.column("system"), both.column("system"))
    assert len(set(apart.column("speaker").tolist())) == 67
