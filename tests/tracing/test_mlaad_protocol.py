"""The MLAAD source-tracing protocol, from its published files to the table.

A replica with the names, the columns and the defects of the published one; its six systems differ in sound.
"""

import csv
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ringtrue.cli import main
from ringtrue.data.corpora import load_corpus, load_samples, mlaad_tracing
from ringtrue.data.corpora.mlaad_tracing import FINE, read_protocol
from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.frontends import LOG_MEL
from ringtrue.tracing import tables
from ringtrue.tracing.clips import Clips
from ringtrue.tracing.compare import judge, make_task
from ringtrue.tracing.methods import nearest_neighbours
from ringtrue.tracing.openset import SCORES

KNOWN = ("suno/bark", "tts_models/en/ljspeech/tacotron2-DCA", "tts_models/fr/css10/vits")
CLIPS = {  # part: (system, language, first clip, clips after it)
    "train": [(KNOWN[0], "en", 0, 6), (KNOWN[1], "en", 0, 6), (KNOWN[2], "fr", 0, 6)],
    "dev": [(KNOWN[0], "en", 6, 9), (KNOWN[2], "fr", 6, 9), ("tts_models/en/ljspeech/neural_hmm", "en", 0, 4)],
    "eval": [
        (KNOWN[0], "de", 9, 12), (KNOWN[1], "en", 9, 12), (KNOWN[2], "fr", 9, 12),
        ("f5-tts", "en", 0, 3), ("facebook/mms-tts-swe", "sw", 0, 3),
    ],
}  # fmt: skip


@pytest.fixture
def protocol_world(seed_world, miniature, encode, speechlike):
    """ASVspoof 2019 LA, the protocol's zip and its recordings where the defaults of the two stages look for them."""
    root, _ = seed_world
    folder = root / "data/MLAAD"
    effects = [
        *miniature.effects,
        lambda wave, t: np.round(wave * 12) / 12,
        lambda wave, t: np.convolve(wave, [1, 0, 0, 0, -1], "same") / 2,
    ]
    systems = sorted({system for part in CLIPS.values() for system, *_ in part})
    lines = {}
    for part, listed in CLIPS.items():
        for system, language, start, stop in listed:
            for number in range(start, stop):
                path = f"fake/{language}/{system.replace('/', '_')}/text_{number}.wav"
                wave = speechlike(0.6, 50 * systems.index(system) + number)
                wave = effects[systems.index(system)](wave, np.arange(len(wave)) / 16_000)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(encode("wav", np.clip(wave, -1, 1).astype(np.float32)))
                lines.setdefault(part, []).append(f"./{path},{system}")
    lines["eval"].append(lines["eval"][-1])  # the published list repeats rows
    for name in FINE:
        lines[f"fine/{name}"] = []
    lines["fine/eval___lang_seen___model_not_seen"] = [lines["eval"][3]]  # and misfiles some
    with zipfile.ZipFile(folder / "mlaad4sourcetracing.zip", "w") as archive:
        archive.writestr("meta.txt", "")
        for name, rows in lines.items():
            archive.writestr(f"{name}.csv", "\n".join(["path,model_name", *rows, ""]))
    return root


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_protocol_runs_as_published(protocol_world, monkeypatch, capsys):
    """The documented commands, with the seed's defaults but for the front ends."""
    monkeypatch.setattr(tables, "_DRAWS", 20)
    assert main(["trace", "train"]) == 0
    outputs = ["--csv", "table.csv", "--classes", "classes.csv", "--fine", "fine.csv"]
    assert main(["trace", "evaluate", *outputs]) == 0
    told = capsys.readouterr().err
    assert "eval.csv repeats 1 rows" in told
    assert "NOT IN TRAIN: 6 test clips are of 2 classes of system" in told
    table = rows_of("table.csv")
    assert len(table) == 8
    for row in table:
        assert (row["corpus"], row["attribute"], row["classes"], row["train_clips"]) == (
            "mlaad-tracing", "system", "3", "18",
        )  # fmt: skip
        assert (row["known_clips"], row["unknown_clips"]) == ("9", "6")
        assert row["score_chosen_on_dev"] in SCORES
        assert row["worst_unknown"] in ("f5-tts", "facebook/mms-tts-swe")
        for figure in ("accuracy", "f1", "auroc", "fpr95", "aupr", "oscr", "unknown_rejected"):
            low, value, high = (float(row[figure + end]) for end in ("_low", "", "_high"))
            assert 0 <= low <= high <= 1 and 0 <= value <= 1
    neighbours = next(row for row in table if row["method"] == "kNN, all front ends")
    assert float(neighbours["accuracy"]) > 0.8  # these systems sound different
    fine = [row for row in rows_of("fine.csv") if row["method"] == neighbours["method"]]
    assert {row["languages"]: (row["known_clips"], row["unknown_clips"]) for row in fine} == {
        "lang_seen": ("6", "3"), "lang_not_seen": ("3", "3"),
    }  # fmt: skip
    assert all(row["fpr95"] and row["accuracy_low"] for row in fine)
    assert len(rows_of("classes.csv")) == 8 * 5


def test_the_threshold_comes_from_systems_held_out_by_dev(protocol_world):
    choices = (FrontEndChoice(LOG_MEL, layer=0, pool=4),)
    trials = load_corpus("mlaad-tracing:data/MLAAD", print)
    clips = Clips(trials, choices, load_samples, print)
    systems = [trial.system for trial in clips.trials]
    task = make_task(clips, systems, "system", systems, print)
    assert {systems[place] for place in task.dev_unknown} == {"tts_models/en/ljspeech/neural_hmm"}
    whole = judge(task, nearest_neighbours(clips), 0)
    known_only = task.test[np.isin(task.values[task.test], task.classes)]
    other = judge(replace(task, test=known_only), nearest_neighbours(clips), 0)
    assert (whole.score, whole.threshold) == (other.score, other.threshold)  # eval has no say in it
    assert np.isfinite(whole.threshold)
    without = judge(replace(task, dev_unknown=task.dev_unknown[:0]), nearest_neighbours(clips), 0)
    assert without.threshold == -np.inf


OFFICIAL = Path(__file__).parents[3] / "shared/conformance/mlaad_source_tracing/mlaad4sourcetracing.zip"


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="the protocol is not here (../shared/conformance)")
def test_the_official_protocol_gives_the_published_sides_and_cells(tmp_path, monkeypatch):
    """All 56,891 rows, without their recordings."""
    (tmp_path / "fake").mkdir()
    monkeypatch.setattr(mlaad_tracing, "Reading", partial(mlaad_tracing.Reading, check_audio=False))
    trials = load_corpus(f"mlaad-tracing:{tmp_path}?protocol={OFFICIAL}", print)
    systems = [trial.system for trial in trials]
    task = make_task(SimpleNamespace(trials=trials), systems, "system", systems, print)
    sizes = [len(side) for side in (task.train, task.dev_known, task.dev_unknown, task.test)]
    assert (len(task.classes), sizes) == (24, [11_100, 4_800, 7_200, 33_791])
    is_known = np.isin(task.values[task.test], task.classes)
    model = np.where(is_known, "___model_seen", "___model_not_seen")
    cells = Counter(np.char.add(tables.language_seen(task), model).tolist())
    protocol = read_protocol(OFFICIAL)
    assert cells == Counter(protocol.cell(row) for row in protocol.unique("eval"))
    assert cells == {  # the published files, less 109 repeated rows, 91 of them in the cell where they belong
        "lang_seen___model_seen": 8_700 - 109 + 91,
        "lang_seen___model_not_seen": 7_500 - 91,
        "lang_not_seen___model_seen": 4_800,
        "lang_not_seen___model_not_seen": 12_900,
    }
