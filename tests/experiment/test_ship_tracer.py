"""The command that makes the tracer that ships, in miniature: what it keeps apart, and that it makes the same twice."""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ringtrue.data.corpora import load_samples
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.inference.source import CARD_KEY, prepare
from ringtrue.tracing import texture

SYSTEMS = {  # acoustic model, vocoder, voices, what it makes of a wave
    "square": ("vits", "hifigan", 3, lambda wave, t: np.sign(wave) * np.abs(wave) ** 0.5 * 0.2),
    "hum": ("hmm", "mlsa", 1, lambda wave, t: wave + 0.05 * np.sin(2 * np.pi * 3_000 * t)),
    "tremble": ("none", "world", 0, lambda wave, t: wave * (1 + 0.9 * np.sin(2 * np.pi * 60 * t))),
    "dull": ("clustergen", "mlsa", 2, lambda wave, t: np.convolve(wave, np.ones(6) / 6, "same")),
}
PEOPLE, CLIPS = 5, 10


@pytest.fixture
def script(monkeypatch):
    """The script as a module, with a texture of few statistics."""
    path = Path(__file__).parents[2] / "experiments" / "ship_tracer.py"
    spec = importlib.util.spec_from_file_location("ship_tracer", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ship_tracer", module)  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    for name, size in (("_BANDS", 24), ("_CEPSTRA", 6), ("_FILTERS", 6)):
        monkeypatch.setattr(texture, name, size)
    monkeypatch.setattr(module, "DRAWS", 5)
    monkeypatch.setattr("sys.argv", ["ship_tracer.py", "--corpus", "folder/mini.tsv"])
    return module


@pytest.fixture
def corpus(tmp_path, encode, speechlike):
    trials = []
    for number in range(CLIPS):
        for place, (system, (acoustic, vocoder, voices, change)) in enumerate(
            {"": ("", "", 0, lambda wave, t: wave), **SYSTEMS}.items()
        ):
            wave = speechlike(0.5, 50 * place * bool(voices) + number)
            path = tmp_path / f"{system or 'people'}_{number}.wav"
            made = np.clip(change(wave, np.arange(len(wave)) / 16_000), -1, 1)
            path.write_bytes(encode("wav", made.astype(np.float32)))
            trials.append(
                Trial(
                    f"{system}/{number}", str(path), "spoof" if system else "bonafide", system=system,
                    acoustic_model=acoustic, vocoder=vocoder, transcript=f"text {number}", corpus="mini",
                    speaker=f"{system}:{number % voices}" if voices else f"person {number % PEOPLE}",
                    source_utterance="" if voices or not system else f"/{number}", licence="CC0-1.0", source="here",
                    split="train",
                )
            )  # fmt: skip
    write_manifest(tmp_path / "mini.tsv", trials)
    return tmp_path / "mini.tsv", trials


def test_no_voice_and_no_text_of_a_lone_voice_is_in_two_folds(script, corpus):
    _, trials = corpus
    units = script.units_of(trials)
    folds = script.folds_of(trials, units)
    of = {
        name: {(getattr(t, name), fold) for t, fold in zip(trials, folds, strict=True) if chosen(t)}
        for name, chosen in (
            ("speaker", lambda t: t.system != "hum"),
            ("transcript", lambda t: t.system == "hum"),
        )
    }
    assert len(of["speaker"]) == len({speaker for speaker, _ in of["speaker"]}) == 3 + 2 + PEOPLE
    assert len(of["transcript"]) == CLIPS
    assert {fold for _, fold in of["transcript"]} == set(range(script.FOLDS))
    assert all(
        (unit.startswith("text")) == (t.system == "hum") for t, unit in zip(trials, units, strict=True)
    )


def test_it_makes_the_same_tracer_twice_and_says_what_it_is_worth(script, corpus, tmp_path, monkeypatch):
    manifest, trials = corpus
    written = []
    monkeypatch.setattr(  # the exporter takes half a minute, and compares what it wrote with the graph by itself
        "ringtrue.tracing.export.write_graph",
        lambda *parts, **_: written.append((parts[0], parts[2][CARD_KEY])),
    )
    for folder in ("", "again"):
        script.run(str(manifest), tmp_path / "tracer.onnx", tmp_path / folder)
    (graph, text), (other, same) = written
    assert text == same
    waves = torch.from_numpy(np.stack([prepare(load_samples(trial)) for trial in trials[:8]]))
    with torch.inference_mode():
        for ours, again in zip(graph(waves), other(waves), strict=True):
            assert torch.equal(ours, again)
        embeddings = graph(waves)[0].numpy()
    card = json.loads(text)
    assert card["provenance"]["command"] == "python experiments/ship_tracer.py --corpus mini.tsv"
    assert {row["system"] for row in card["trained_on"]["sources"]} == {"people", *SYSTEMS}
    positions = {one["name"]: one["position"] for one in card["systems"]}
    for trial, embedding in zip(trials, embeddings, strict=False):
        if trial.system:
            assert (
                min(positions, key=lambda name: np.linalg.norm(embedding - positions[name])) == trial.system
            )
    with open(tmp_path / "ship_tracer.csv") as file:
        rows = {(row["attribute"], row["question"].split(" ")[2]): row for row in csv.DictReader(file)}
    assert len(rows) == 9
    names, unknown = rows["vocoder", "known"], rows["vocoder", "left"]
    assert (names["classes"], names["known_clips"], names["unknown_clips"]) == ("3", "40", "0")
    assert rows["vocoder", "those"]["known_clips"] == "30"  # `hum` has one voice
    assert float(names["accuracy"]) > 0.6  # such systems are easily told apart
    assert unknown["unknown_clips"] == "40"  # every clip is unknown once, to the tracer without its vocoder
    assert rows["acoustic_model", "left"]["unknown_clips"] == "30"  # `none` is no family


def test_each_left_out_class_is_judged_by_a_threshold_of_the_others(script):
    def outcome(known, unknown):
        truth = np.array(["a"] * len(known) + ["b"] * len(unknown))
        scores = np.array([*known, *unknown], float)
        return script.Outcome(
            truth, truth, ("a",), scores, np.zeros(len(truth), bool), truth, truth
        )  # fmt: skip

    low, high = outcome([0.3, 0.4], [0.1, 0.2]), outcome([3.3, 3.4], [3.1, 3.2])
    judged = script.judged([low, high])
    assert judged.is_accepted.tolist() == [False] * 4 + [True] * 4
