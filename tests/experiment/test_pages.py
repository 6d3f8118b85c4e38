"""Runs on demo pages: which clips count, and what their averages and pairings are."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def pages():
    """The script, as a module."""
    path = Path(__file__).parents[2] / "experiments" / "pages.py"
    spec = importlib.util.spec_from_file_location("pages", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_only_paired_clips_of_pages_with_enough_of_both_labels_count(pages, tmp_path) -> None:
    rows = []
    for page, people, machines, paired in (("a", 5, 7, "1"), ("b", 4, 9, "1"), ("c", 6, 6, "0")):
        for label, many in (("bonafide", people), ("spoof", machines)):
            rows += [(f"{page}/{label}{n}.flac", label, "vits", "ann", page, paired) for n in range(many)]
    with open(tmp_path / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "system", "speaker", "source_page", "paired"), *rows])
    trials = pages.paired_clips(tmp_path / "manifest.csv")
    assert {trial.corpus for trial in trials} == {"a"}
    assert len(trials) == 12
    assert {(trial.label, trial.system) for trial in trials} == {("bonafide", ""), ("spoof", "vits")}
    assert trials[0].audio == str(tmp_path / "a/bonafide0.flac")


def test_rows_average_seeds_then_pages_and_pair_with_the_baseline(pages) -> None:
    names = [f"p{number}" for number in range(20)]
    base = np.linspace(0.2, 0.6, 20)
    found = {
        ("m", "A0"): [dict(zip(names, base, strict=True)), dict(zip(names, base + 0.02, strict=True))],
        ("m", "A5"): [dict(zip(names, base - 0.1, strict=True))],
        ("m", pages.FLOOR): [dict.fromkeys(names, 0.5)],
        ("t", "A5"): [dict.fromkeys(names, 0.1)],
    }
    plain, better, floor, alone = pages.rows_of(found, "A0")
    assert plain["macro_eer"] == pytest.approx(0.41)
    assert plain["seed_sd"] == pytest.approx(0.02 / np.sqrt(2))
    assert (plain["worst_page"], plain["worst_eer"]) == ("p19", pytest.approx(0.61))
    assert plain["macro_eer_low"] < 0.41 < plain["macro_eer_high"]
    assert "p" not in plain
    # Page by page the two differ by the same: no draw of pages can say otherwise.
    for name in ("difference", "difference_low", "difference_high"):
        assert better[name] == pytest.approx(-0.11)
    assert better["p"] == better["p_holm"] == pytest.approx(2 / (1 + pages.DRAWS))
    assert floor["difference"] == pytest.approx(0.09) and "p_holm" not in floor, "no finding of ours"
    assert "p" not in alone, "its corpus has no baseline"
    assert better["eer p0"] == pytest.approx(0.1)
