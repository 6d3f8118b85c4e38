"""The script behind the model that ships: what may be trained on, what is left out of what, the same bits twice."""

import csv
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.inference.runtime import Detector
from ringtrue.models import checkpoint

FOLDER = Path(__file__).parents[2] / "experiments"
FOLDS = 3


@pytest.fixture(scope="module")
def ship():
    """The script, as a module."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("ship", FOLDER / "ship.py")
        assert spec is not None and spec.loader is not None
        module = sys.modules["ship"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Three pages, one of them without a licence; people's envelopes move and machines' do not."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    columns = (
        "path",
        "label",
        "system",
        "speaker",
        "language",
        "source_page",
        "paired",
        "fold",
        "license",
        "source_repo",
    )
    rows = []
    for fold in range(FOLDS):
        for number in range(24):
            label = "bonafide" if number % 2 else "spoof"
            wave = 0.1 * rng.standard_normal(32_000)
            depth = rng.uniform(0.5, 1.5) if label == "bonafide" else rng.uniform(0, 0.6)
            for at in range(0, len(wave), 1_600):
                shape = np.exp(rng.normal(0, depth, 12)).repeat(70)[:801]
                wave[at : at + 1_600] = np.fft.irfft(np.fft.rfft(wave[at : at + 1_600]) * shape, 1_600)
            name = f"{fold}-{number}.wav"
            soundfile.write(folder / name, np.clip(wave / 20, -1, 1), 16_000)
            licence = "unstated" if fold == 2 and number < 12 else "MIT"
            rows.append(
                (
                    name,
                    label,
                    f"s{number % 3}",
                    f"p{number % 4}",
                    "en",
                    f"page{fold}",
                    "1",
                    fold,
                    licence,
                    "a/b",
                )
            )
    with open(folder / "manifest.csv", "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return folder / "manifest.csv"


@pytest.fixture
def small(ship, monkeypatch):
    """Few recipes, few copies, and sources as small as they are here."""
    monkeypatch.setattr(
        ship, "GRID", [replace(ship.GRID[0], ridge=ridge, copies="default") for ridge in (0.1, 1.0)]
    )
    monkeypatch.setattr(ship, "COPIES", 1)
    monkeypatch.setattr(ship, "LEAST_PEOPLE", 5)
    monkeypatch.setattr(ship, "RATES", (0.1,))
    monkeypatch.setattr(ship, "SHOWN_RATES", (0.1,))
    return ship


def test_folds_train_on_licensed_clips_of_other_folds_only(ship, manifest, tmp_path):
    ship.write_folds(manifest, tmp_path)
    licences = {}
    for fold in range(FOLDS):
        trials = read_manifest(tmp_path / f"fold{fold}.tsv")
        pages = {split: {t.corpus for t in trials if t.split == split} for split in ("train", "dev", "test")}
        assert pages["test"] == {f"page{fold}"}
        assert not pages["test"] & (pages["train"] | pages["dev"])
        assert not pages["train"] & pages["dev"]
        licences[fold] = {t.licence for t in trials if t.split != "test"}
    assert set().union(*licences.values()) == {"MIT"}


def test_a_fold_that_is_left_out_is_in_no_fit(small, manifest):
    """Whatever lies in it, what is chosen, fitted and calibrated without it stays the same."""
    study = small.Study(small.read_clips(manifest))

    def all_without(fold):
        recipe = study.choose(fold)
        fitted, _, rate = study.calibrate(recipe, fold)
        weights = study.fit(recipe, {fold}).head.weight.numpy()
        return recipe, fitted, rate, weights.tobytes()

    before = all_without(1)
    here = study.fold == 1
    rng = np.random.default_rng(1)
    for statistics in (*study.heard.values(), *study.copies["default"]):
        statistics[here] = rng.normal(size=statistics[here].shape)
    study.windows[here[study.window_of]] = 0.0
    study.human[here] = ~study.human[here]
    assert all_without(1) == before


def test_the_model_is_built_to_the_same_bits_and_says_where_it_comes_from(small, manifest, tmp_path):
    small.build(manifest, tmp_path)
    model, card = checkpoint.load(tmp_path / "detector.safetensors")
    clips = small.read_clips(manifest)
    again, _ = small.fit_and_calibrate(small.Study(clips), [c.trial for c in clips if c.is_licensed])
    for name, values in again.state_dict().items():
        assert values.equal(model.state_dict()[name]), name
    shipped = Detector(tmp_path / "detector.onnx").card
    assert shipped["calibration"] == card.calibration
    assert card.calibration["thresholds"].keys() == {"0.05", "0.1"}
    assert card.trained_on["clips"] == {"bonafide": 30, "spoof": 30}
    assert {row["licence"] for row in card.trained_on["sources"]} == {"MIT"}
    assert card.metrics["dev_eer"] < 0.3


def test_tables_are_written_with_pages_sources_and_how_they_were_made(small, manifest, tmp_path, capsys):
    small.judge(manifest, None, {}, tmp_path)
    with open(tmp_path / "ship_pages.csv", newline="") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert small.CHOSEN in rows and small.FLOOR in rows
    assert float(rows[small.CHOSEN]["macro_eer"]) < 0.3 < float(rows[small.FLOOR]["macro_eer"]) + 0.3
    with open(tmp_path / "ship_sources.csv", newline="") as file:
        sources = list(csv.DictReader(file))
    assert {row["source"] for row in sources} >= {"page0", "page1", "page2", "all"}
