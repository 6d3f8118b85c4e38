"""The script of the tables of tracing: its folds of demo pages, and both of its tables of them in miniature."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.frontends import LOG_MEL
from ringtrue.tracing import tables
from ringtrue.tracing.settings import Settings

ROWS = (  # family, vocoder, folds of its pages; nine clips each
    ("Tacotron2 | HiFi-GAN", "HiFi-GAN", (0, 1, 2)),
    ("VITS | VITS decoder", "VITS decoder", (2, 3, 4)),
    ("Blow | flow", "flow", (3, 4)),
    ("FastDiff | diffusion", "diffusion", (0,)),
    ("FastSpeech2 | unspecified", "unspecified", (0, 1, 2)),
)
RARE = ("rare | rare", "rare", (0, 1))  # seven clips


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script as a module, with front ends and epochs that take no time."""
    path = Path(__file__).parents[2] / "experiments" / "tracing.py"
    spec = importlib.util.spec_from_file_location("tracing_script", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    choices = tuple(FrontEndChoice(LOG_MEL, layer=0, pool=pool) for pool in (8, 16))
    settings = Settings("stage1.tsv", "", choices, epochs=1, checkpoint=str(tmp_path / "mio.safetensors"))
    monkeypatch.setattr(module, "SETTINGS", settings)
    monkeypatch.setattr(tables, "_DRAWS", 5)
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def manifest(tmp_path, encode, speechlike):
    (tmp_path / "audio").mkdir()
    rows, stage_1 = [], []
    for place, (family, vocoder, folds) in enumerate((*ROWS, RARE)):
        for number in range(9 if family != RARE[0] else 7):
            fold = folds[number % len(folds)]
            wave = speechlike(0.4, 20 * place + number)
            if place % 2:
                wave = np.sign(wave) * np.sqrt(np.abs(wave)) / 4
            path = f"audio/{place}_{number}.wav"
            (tmp_path / path).write_bytes(encode("wav", wave.astype(np.float32)))
            rows.append((path, "spoof", family, vocoder, f"page {place} {fold}", fold))
            stage_1.append((path, ("bonafide", "spoof")[place % 2], ("", "x")[place % 2], "train"))
    for name, delimiter, header, listed in (
        ("manifest.csv", ",", "path,label,system_family,vocoder,source_page,fold", rows),
        ("stage1.tsv", "\t", "audio,label,system,split", stage_1),
    ):
        with open(tmp_path / name, "w", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([header.split(","), *listed])
    return tmp_path / "manifest.csv"


def test_pages_of_judged_and_held_out_folds_are_never_trained_on(script, manifest, monkeypatch):
    """And a family with fewer than eight clips, or of one that is not named, is in neither table."""
    seen = {}

    def table(tasks, methods, attribute, corpus, seeds, progress):
        seen[attribute] = (tasks, [method.name for method in methods], seeds)
        return tables.Table()

    monkeypatch.setattr(script, "table", table)
    assert len(list(script.pages(manifest, 3))) == 2
    assert set(seen) == {"system_family", "vocoder"}
    with open(manifest) as file:
        row = {one["path"]: one for one in csv.DictReader(file)}
    for tasks, methods, seeds in seen.values():
        assert len(methods) == 8
        assert (len(tasks), list(seeds)) == (5, [0, 1, 2])
        assert sum(len(task.test) for task in tasks) == 4 * 9
        for fold, task in enumerate(tasks):
            sides = [task.train, np.concatenate([task.dev_known, task.dev_unknown]), task.test]
            pages = [{row[task.clips.trials[place].id]["source_page"] for place in side} for side in sides]
            assert not pages[0] & pages[1] and not pages[0] & pages[2] and not pages[1] & pages[2]
            assert {page[-1] for page in pages[2]} == {str(fold)}
            assert {page[-1] for page in pages[1]} <= {str((fold + 1) % 5)}
            # What is unknown on dev must not be what is unknown where it is judged.
            unknown = {task.values[place] for place in task.test} - set(task.classes)
            assert not unknown & {task.values[place] for place in task.dev_unknown}
            assert not {ROWS[3][0], ROWS[3][1]} & set(task.classes)  # it occurs in one fold only
    blow = seen["vocoder"][0][3]  # judged on fold 3, thresholds on fold 4: it has no other
    assert "flow" in blow.values[blow.test]
    assert "flow" not in blow.values[blow.dev_unknown]


def test_the_tables_of_pages_are_written_with_seeds_and_counts(script, manifest, monkeypatch, tmp_path):
    monkeypatch.setattr(
        "sys.argv", ["tracing.py", "pages", str(manifest), "--seeds", "2", "--out", str(tmp_path / "o")]
    )
    monkeypatch.setattr(
        script, "all_methods", lambda *given: tables.all_methods(*given)[-2:]
    )  # the two that train nothing
    script.main()
    with open(tmp_path / "o/tracing_pages.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["attribute"] for row in rows] == ["system_family"] * 2 + ["vocoder"] * 2
    for row in rows:
        assert row["seeds"] == "2"
        assert int(row["known_clips"]) + int(row["unknown_clips"]) == 36
        assert len(row["accuracy_by_seed"].split("/")) == 2
        assert len(row["classes"].split("/")) == 5
        assert row["command"].startswith("python tracing.py pages manifest.csv --seeds 2")
    assert (tmp_path / "o/tracing_pages_classes.csv").is_file()


def test_a_file_that_is_missing_is_asked_for(script, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tracing.py", "distilled"])
    with pytest.raises(SystemExit):
        script.main()
    assert "distilled needs a file: MANIFEST for pages, DETECTOR for distilled" in capsys.readouterr().err
