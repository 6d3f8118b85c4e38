"""The card of the model that ships says what the tables and the model itself say."""

import csv
import re
from pathlib import Path

import pytest

from ringtrue.inference.runtime import SHIPPED, Detector, find_model

ROOT = Path(__file__).parents[1]
CARD = find_model(SHIPPED).with_name("CARD.md").read_text(encoding="utf-8")


def table(name):
    with open(ROOT / "results" / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rows():
    """Lines of the card's tables, as cells."""
    lines = [line for line in CARD.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", table("ship_pages.csv"), ids=lambda row: f"{row['corpus']}: {row['variant']}")
def test_every_row_of_the_pages_is_told(row):
    low, high = (100 * float(row[f"macro_eer_{end}"]) for end in ("low", "high"))
    told = [
        row["variant"].replace("envelope: ", ""),
        f"{100 * float(row['macro_eer']):.1f} [{low:.1f}, {high:.1f}]",
    ]
    assert told in [cells[:2] for cells in rows()]


def test_thresholds_and_band_are_the_models():
    calibration = Detector.from_pretrained(SHIPPED).card["calibration"]
    minus = "−"
    for rate, threshold in calibration["thresholds"].items():
        assert [f"{100 * float(rate):g} %", f"{threshold:.2f}".replace("-", minus)] in rows()
    band = calibration["band"]
    said = f"Below {band['lower']:.2f} a recording is called spoof, from {band['upper']:.2f} on"
    assert said.replace("-", minus) in CARD


def test_every_source_is_listed_with_its_licence_and_its_clips():
    trained_on = Detector.from_pretrained(SHIPPED).card["trained_on"]
    told = {(cells[0], cells[1]): cells[2:] for cells in rows() if len(cells) == 4}
    for row in trained_on["sources"]:
        people, machines = told[row["source"], row["licence"]]
        assert str(row["clips"]) == (people if row["label"] == "bonafide" else machines)


def test_what_is_said_of_another_corpus_is_in_its_table():
    found = {(row["label"], row["name"]): row for row in table("ship_elsewhere.csv")}
    people = found["bonafide", "all"]
    worst = max(
        float(row["called spoof"])
        for (label, name), row in found.items()
        if label == "bonafide" and name != "all"
    )
    said = re.search(
        r"of ([\d,]+) recordings of people .*? ([\d.]+) % are called spoof, ([\d.]+) % of the worst", CARD
    )
    assert said is not None
    assert int(said[1].replace(",", "")) == int(people["clips"])
    assert [said[2], said[3]] == [f"{100 * float(people['called spoof']):.1f}", f"{100 * worst:.1f}"]
    unseen, machines = found["spoof", "all of the test split"], found["spoof", "all"]
    assert f"EER {100 * float(unseen['eer']):.1f} %" in CARD
    assert f"{100 * float(machines['called spoof']):.1f} % of all machines" in CARD
    assert unseen["model_sha256"] == Detector.from_pretrained(SHIPPED).sha256


def test_what_is_said_of_the_tracer_is_in_its_table():
    found = {(row["attribute"], row["question"]): row for row in table("ship_tracer.csv")}

    def told(attribute, question, figure):
        row = found[attribute, question]
        value, low, high = (100 * float(row[f"{figure}{end}"]) for end in ("", "_low", "_high"))
        return f"{value:.1f} % [{low:.1f}, {high:.1f}]"

    names, unknown = "names of known generators", "unknown families left out in turn"
    assert f"macro-F1 is {told('acoustic_model', names, 'f1')} for acoustic models" in CARD
    assert f"and {told('vocoder', names, 'f1')} for vocoders" in CARD
    assert f"so do {told('vocoder', unknown, 'fpr95')} of clips by unknown vocoders" in CARD


def test_the_readme_says_the_same():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {row["variant"]: row for row in table("ship_pages.csv") if row["corpus"] == "pages"}
    for variant in ("chosen by the other folds", "content-blind floor", "AASIST"):
        row = pages[variant]
        value, low, high = (100 * float(row[f"macro_eer{end}"]) for end in ("", "_low", "_high"))
        assert f"{value:.1f} % [{low:.1f}, {high:.1f}]" in readme
    sources = {(row["label"], row["source"]): row for row in table("ship_sources.csv")}
    for label, name in (("people", "people"), ("machines", "machines")):
        assert f"{100 * float(sources[label, 'all']['called spoof']):.1f} % of {name}" in readme
