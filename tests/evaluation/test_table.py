"""The Table: its figures, its golden renderings, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from ringtrue.errors import ScoresError
from ringtrue.evaluation.intervals import Interval
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.table import FLOOR, Row, Table, evaluation, format_figure, system_table, the_table

SYSTEMS = ["espeak", "flite", "vits", "kokoro"]


def model(seed: int, shift: float, **metadata: object) -> Scores:
    """60 bona fide trials of 12 speakers; 40 spoof trials of each system, the last two of them unseen."""
    system = np.array([""] * 60 + SYSTEMS * 40)
    label = np.where(system == "", "bonafide", "spoof")
    split = np.where(np.isin(system, SYSTEMS[:2]), "test_seen", "test")
    speaker = np.array([f"spk{i % 12}" for i in range(system.size)])
    scores = np.random.default_rng(seed).normal(size=system.size) + shift * (system == "")
    names = np.array([f"t{i}" for i in range(system.size)])
    return Scores(names, label, scores, {"system": system, "speaker": speaker, "split": split}, metadata)


def golden() -> Table:
    many, few = (40, 12), (40, 3)
    return Table(
        "EER in %",
        "model",
        ("seen systems", "unseen systems"),
        (
            Row(
                "hero_1",
                "model",
                (Interval(0.123, 0.081, 0.17, 0.95, *many), Interval(0.3, 0.2, 0.4, 0.95, *few)),
            ),
            Row(
                "a - b",
                "difference",
                (Interval(-0.02, -0.04, 0, 0.95, *many), Interval(0.01, -0.3, 0.4, 0.95, *few)),
            ),
        ),
        ("seen systems: 3 trials", "* few"),
    )


def test_golden_text() -> None:
    assert golden().to_text() == (
        "EER in %\n"
        "\n"
        "model   seen systems       unseen systems\n"
        "------  -----------------  --------------------\n"
        "hero_1  12.3 [8.1, 17.0]   30.0 [20.0, 40.0]*\n"
        "a - b   -2.0 [-4.0, +0.0]  +1.0 [-30.0, +40.0]*\n"
        "\n"
        "seen systems: 3 trials\n"
        "* few\n"
    )


def test_golden_markdown() -> None:
    assert golden().to_markdown() == (
        "**EER in %**\n"
        "\n"
        "| model | seen systems | unseen systems |\n"
        "| --- | --- | --- |\n"
        "| hero\\_1 | 12.3 [8.1, 17.0] | 30.0 [20.0, 40.0]\\* |\n"
        "| a - b | -2.0 [-4.0, +0.0] | +1.0 [-30.0, +40.0]\\* |\n"
        "\n"
        "- seen systems: 3 trials\n"
        "- \\* few\n"
    )


def test_golden_latex() -> None:
    assert golden().to_latex() == (
        "\\begin{tabular}{lll}\n"
        "\\toprule\n"
        "model & seen systems & unseen systems \\\\\n"
        "\\midrule\n"
        "hero\\_1 & 12.3 [8.1, 17.0] & 30.0 [20.0, 40.0]* \\\\\n"
        "a - b & $-$2.0 [$-$4.0, +0.0] & +1.0 [$-$30.0, +40.0]* \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
        "% EER in %\n"
        "% seen systems: 3 trials\n"
        "% * few\n"
    )


@pytest.mark.parametrize(
    "name", ["[x]", "*x", "a & b", "50 % {of} $x_1^2$ #3", "a<b>|c", "\\input{secret}", "~-1"]
)
def test_no_name_breaks_out_of_a_latex_cell(name: str) -> None:
    table = golden()
    named = replace(table, rows=(replace(table.rows[0], name=name), *table.rows[1:])).to_latex()
    row = named.split("\\midrule\n")[1].splitlines()[0]
    bare = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", row
    )
    bare = re.sub(r"\\[&%$#_{}]", "", bare)
    assert bare.count("&") == 2
    assert bare.count("$") % 2 == 0
    assert "\\" not in bare.removesuffix(" \\\\")
    assert bare.replace("{}", "").count("{") == 0
    assert not row.startswith(("[", "*"))
    assert not set("%#^~<>|_") & set(bare)


def test_json_holds_unrounded_fractions() -> None:
    values = json.loads(json.dumps(golden().to_dict()))
    assert values["rows"][0]["figures"][0]["estimate"] == 0.123
    assert values["columns"] == ["seen systems", "unseen systems"]


def test_figures_come_from_the_right_trials() -> None:
    """Seen: bona fide of `test` with spoof of `test_seen`; unseen: everything of `test`."""
    hero, baseline, floor = model(1, 2.0), model(2, 1.0), model(3, 0.2)
    table = the_table(evaluation({"baseline": baseline, "hero": hero}, floor), ("hero", "baseline"), draws=50)
    assert [row.name for row in table.rows] == ["baseline", "hero", FLOOR, "hero - baseline"]
    assert [row.kind for row in table.rows] == ["model", "model", "floor", "difference"]
    system = hero.column("system")
    for scores, row in zip((baseline, hero, floor), table.rows[:3], strict=True):
        for figure, names in zip(row.figures, (SYSTEMS[:2], SYSTEMS[2:]), strict=True):
            assert figure.estimate == eer(scores.bonafide, scores.scores[np.isin(system, names)])
            assert (figure.bonafide_clusters, figure.spoof_clusters) == (12, 2)
            assert figure.is_descriptive
    for column in (0, 1):
        first, second = table.rows[1].figures[column], table.rows[0].figures[column]
        assert table.rows[3].figures[column].estimate == first.estimate - second.estimate
    assert table.notes == (
        "seen systems: 60 bona fide trials of 12 speakers and 80 spoof trials of 6 speakers x 2 systems",
        "unseen systems: 60 bona fide trials of 12 speakers and 80 spoof trials of 6 speakers x 2 systems",
        "* fewer than 10 clusters of a class: the interval is descriptive, and too narrow",
    )


def test_the_same_seed_gives_the_same_table_and_trial_order_does_not_matter() -> None:
    hero, baseline = model(1, 2.0), model(2, 1.0)
    shuffled = baseline.select(np.random.default_rng(0).permutation(len(baseline)))
    tables = [
        the_table(evaluation({"hero": hero, "baseline": other}), ("hero", "baseline"), draws=30, seed=4)
        for other in (baseline, shuffled)
    ]
    assert tables[0] == tables[1]


def test_without_splits_and_clusters_there_is_one_column_and_a_warning() -> None:
    scores = model(1, 1.0)
    plain = Scores(scores.trials, scores.labels, scores.scores)
    table = the_table(evaluation({"hero": plain}), draws=20)
    assert table.columns == ("all trials",)
    assert table.notes[0] == "all trials: 60 bona fide trials and 160 spoof trials"
    assert [note.split(" are ")[0] for note in table.notes[1:]] == ["bona fide trials", "spoof trials"]
    assert "too narrow" in table.notes[1]
    with pytest.raises(ScoresError, match="no column 'speaker'"):
        the_table(evaluation({"hero": plain}), clusters=(("speaker",), ()))


def test_a_speaker_and_a_system_of_one_name_stay_two_clusters() -> None:
    scores = model(1, 1.0)
    columns = {**scores.columns, "speaker": np.full(len(scores), "vits")}
    named = Scores(scores.trials, scores.labels, scores.scores, columns)
    figure = the_table(evaluation({"hero": named}), draws=40).rows[0].figures[1]
    assert figure.low < figure.high  # one speaker cannot vary, but the two systems are still resampled


def test_each_system_against_all_bona_fide_trials_of_its_column() -> None:
    hero = model(1, 2.0)
    table = system_table(evaluation({"hero": hero}, model(3, 0.1)), draws=20)
    assert [row.name for row in table.rows] == [
        "espeak (seen)",
        "flite (seen)",
        "kokoro (unseen)",
        "vits (unseen)",
    ]
    assert table.columns == ("hero", FLOOR)
    assert table.rows[1].figures[0].estimate == eer(
        hero.bonafide, hero.scores[hero.column("system") == "flite"]
    )


def test_models_that_cannot_be_compared_are_refused() -> None:
    hero = model(1, 2.0)
    with pytest.raises(ScoresError, match="the same trials"):
        evaluation({"hero": hero, "short": hero.select(np.arange(100))})
    turned = Scores(hero.trials, np.roll(hero.labels, 1), hero.scores, hero.columns)
    with pytest.raises(ScoresError, match="'turned' label the trial 't0' differently"):
        evaluation({"hero": hero, "turned": turned})
    with pytest.raises(ScoresError, match="at least one model"):
        evaluation({}, hero)
    with pytest.raises(ScoresError, match="no model 'gone' to contrast; there are hero"):
        the_table(evaluation({"hero": hero}), ("hero", "gone"))
    with pytest.raises(ScoresError, match="no bona fide scores"):
        the_table(evaluation({"hero": hero.select(~hero.is_bonafide)}), draws=5)


def test_percent() -> None:
    assert format_figure(Interval(0.5, 0.25, 1.0, 0.95, 9, 99)) == "50.0 [25.0, 100.0]*"
    assert format_figure(Interval(0.0, 0.0, 0.01, 0.95, 99, 99), "difference") == "+0.0 [+0.0, +1.0]"
