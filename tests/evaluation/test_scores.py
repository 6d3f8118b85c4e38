"""Scores files: exact round trips, the foreign format, and one clear line for each way to be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from ringtrue.data.trials import Trial
from ringtrue.errors import RingtrueError, ScoresError
from ringtrue.evaluation.scores import Scores, read_scores, scores_of_trials, write_scores

HEADER = "trial\tlabel\tscore\tsystem\n"


def make(count: int = 6, **metadata: object) -> Scores:
    labels = np.where(np.arange(count) % 2, "spoof", "bonafide")
    return Scores(
        np.array([f"t{i}" for i in range(count)]),
        labels,
        np.random.default_rng(0).normal(size=count),
        {"system": np.where(labels == "spoof", "vits", ""), "speaker": np.array(["ann"] * count)},
        metadata,
    )


def test_round_trip_is_exact(tmp_path) -> None:
    extremes = [
        0.1,
        1 / 3,
        -0.0,
        5e-324,
        np.finfo(np.float64).max,
        np.nextafter(1.0, 2.0),
        -1e-17,
        123456789.123456789,
    ]
    scores = make(8, model_sha256="ab" * 32, versions={"ringtrue": "0.1"}, command="ringtrue score — x\ty")
    scores = Scores(scores.trials, scores.labels, np.array(extremes), scores.columns, scores.metadata)
    write_scores(tmp_path / "scores.tsv", scores)
    again = read_scores(tmp_path / "scores.tsv")
    assert again.scores.tobytes() == scores.scores.tobytes()
    for one, other in [(again.trials, scores.trials), (again.labels, scores.labels)]:
        assert one.tolist() == other.tolist()
    assert {name: values.tolist() for name, values in again.columns.items()} == {
        name: values.tolist() for name, values in scores.columns.items()
    }
    assert again.metadata == scores.metadata


def test_the_file_is_what_the_documentation_says(tmp_path) -> None:
    write_scores(tmp_path / "s.tsv", make(2, model="hero").select(np.array([1])))
    lines = (tmp_path / "s.tsv").read_text().splitlines()
    assert lines[0] == '# {"model": "hero"}'
    assert lines[1] == "trial\tlabel\tscore\tsystem\tspeaker"
    assert lines[2] == "t1\tspoof\t-0.1321048632913019\tvits\tann"


def test_classes_and_columns() -> None:
    scores = make(6)
    assert len(scores) == 6
    assert scores.bonafide.tolist() == scores.scores[::2].tolist()
    assert scores.spoof.tolist() == scores.scores[1::2].tolist()
    assert set(scores.select(~scores.is_bonafide).column("system").tolist()) == {"vits"}
    with pytest.raises(ScoresError, match="no column 'codec'; they have: system, speaker"):
        scores.column("codec")


def test_align_puts_trials_in_order_and_refuses_other_trials() -> None:
    scores = make(4)
    assert scores.align(["t3", "t1", "t0", "t2"]).scores.tolist() == scores.scores[[3, 1, 0, 2]].tolist()
    with pytest.raises(ScoresError, match=r"1 are missing \['t9'\] and 2 are extra \['t0', 't2'\]"):
        scores.align(["t3", "t1", "t9"])


def test_scores_of_trials_carries_what_the_trials_know() -> None:
    trials = [
        Trial("a", "a.wav", "bonafide", speaker="ann", split="test"),
        Trial("b", "b.wav", "spoof", system="vits", speaker="bo", split="test_seen"),
    ]
    scores = scores_of_trials(trials, iter([1.5, -2]), {"model": "x"})
    assert scores.scores.tolist() == [1.5, -2.0]
    assert scores.column("system").tolist() == ["", "vits"]
    assert scores.column("split").tolist() == ["test", "test_seen"]
    with pytest.raises(ScoresError, match="2 trials"):
        scores_of_trials(trials, [1.0])


def test_asvspoof2019_rows(tmp_path) -> None:
    path = tmp_path / "cm.txt"
    path.write_text("LA_1 A00 bonafide 1.25\nLA_2 A07 spoof -3e-2\r\nLA_3 - bonafide 2\n")
    scores = read_scores(path)
    assert scores.trials.tolist() == ["LA_1", "LA_2", "LA_3"]
    assert scores.scores.tolist() == [1.25, -0.03, 2.0]
    assert scores.column("system").tolist() == ["", "A07", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no rows"),
        (HEADER, "a header and no rows"),
        ("just some words in a file that is no table\n", "line 1: the columns are"),
        ("# a comment\ntrial\tscore\na\t1\n", "line 2: .* it lacks label"),
        ("trial\tlabel\tscore\tscore\n", "line 1: .* a name occurs twice"),
        (HEADER + "a\tspoof\t1\tx\nb\tspoof\t2\n", "line 3: 3 cells where 4 are expected"),
        (HEADER + "a\tspoof\t1\tx\n\nb\tspoof\thigh\tx\n", "line 4: the score 'high' is not a number"),
        (HEADER + "a\tspoof\t1\tx\nb\tspoof\tnan\tx\n", "line 3: the score of 'b' is nan"),
        (HEADER + "a\tspoof\tinf\tx\n", "line 2: the score of 'a' is inf"),
        (
            HEADER + "a\tspoof\t1\tx\nb\tspoof\t1\tx\na\tspoof\t2\tx\n",
            "line 4: the trial 'a' occurs more than once",
        ),
        (
            HEADER + "a\tReal\t1\t\n",
            "line 2: label 'Real'; .* write 'bonafide', or add --label Real=bonafide, if that",
        ),
        (HEADER + "a\tfake\t1\t\n", "line 2: label 'fake'; accepted: bonafide or spoof; write 'spoof'"),
        (
            HEADER + "a\t1\t1\t\n",
            "label '1'; .* corpora disagree on which is which",
        ),  # corpora disagree: no guess
        ("# {broken\n" + HEADER + "a\tspoof\t1\tx\n", "line 1: the comment is no JSON object"),
        ("LA_1 A00 bonafide 1\nLA_2 A07 spoof\n", "line 2: 3 cells where 4"),
        ("LA_1 A00 bonafide 1\nLA_2 A00 bonafide one\n", "line 2: the score 'one'"),
    ],
)
def test_a_malformed_file_gets_one_line_that_names_the_place(tmp_path, text: str, said: str) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text(text)
    with pytest.raises(ScoresError, match=said) as caught:
        read_scores(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text_or_not_there(tmp_path) -> None:
    for content, said in (
        (b"\xff\xfe\x00\x80", "it is no text"),
        (b"\xff\xfe\x80", "cannot be read as a UTF-8 table"),
        (b"x" * 3_000_000, "it is no text"),
        (b"PAR1 and then nothing", "cannot be read as Parquet|pip install"),
    ):
        (tmp_path / "binary").write_bytes(content)
        with pytest.raises(ScoresError if b"PAR1" not in content else RingtrueError, match=said):
            read_scores(tmp_path / "binary")
    with pytest.raises(ScoresError, match="it is not a folder of scores"):
        read_scores(tmp_path)
    with pytest.raises(ScoresError, match="no file at"):
        read_scores(tmp_path / "missing.tsv")


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\rb", "a\u2028b"])
def test_a_name_that_the_format_cannot_carry_is_refused(tmp_path, name: str) -> None:
    scores = Scores(np.array([name, "x"]), np.array(["spoof", "bonafide"]), np.zeros(2))
    with pytest.raises(ScoresError, match="a tab or a line break"):
        write_scores(tmp_path / "s.tsv", scores)
    assert not (tmp_path / "s.tsv").exists()


def test_unfit_scores_cannot_even_be_made() -> None:
    with pytest.raises(ScoresError, match="row 2: the score of 'b' is nan"):
        Scores(np.array(["a", "b"]), np.array(["spoof", "spoof"]), np.array([1.0, np.nan]))
