"""The whole story in small: a manifest of real files in, The Table and an installed model out."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from ringtrue import cli, demo
from ringtrue.config import load_config
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import CorpusError
from ringtrue.evaluation.scores import read_scores
from ringtrue.inference.runtime import Detector, installed_model


def make_corpus(folder, encode, speechlike):
    """Buzzes for people, the same with a fast flutter for machines; every split of a real corpus."""
    rows = []
    for split, count in (("train", 12), ("dev", 24), ("test", 12), ("test_seen", 8)):
        for index in range(count):
            human = index % 2 == 0 and split != "test_seen"
            name = f"{split}{index}"
            seed = sum(map(ord, split)) + index
            samples = speechlike(1.5, seed=seed)
            if not human:
                samples = (
                    samples
                    * (1 + np.sin(2 * np.pi * 25 * np.arange(len(samples)) / 16_000)).astype(np.float32)
                    / 2
                )
            (folder / f"{name}.flac").write_bytes(encode("flac", samples))
            side = "train" if split == "test_seen" else split
            rows.append(
                Trial(
                    id=name,
                    audio=f"{name}.flac",
                    label="bonafide" if human else "spoof",
                    system="" if human else f"{side} flutter {index % 3}",
                    speaker=f"{split} {'person' if human else 'voice'} {index % 4}",
                    language="xx",
                    split=split,
                    corpus="toy",
                    licence="CC0-1.0",
                    duration_s=1.5,
                )
            )
    write_manifest(folder / "manifest.tsv", rows)
    return folder


@pytest.fixture
def corpus(tmp_path, encode, speechlike, monkeypatch):
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RINGTRUE_MODEL", raising=False)

    def small(recipe, smoke):
        return load_config(
            recipe,
            [
                "content.teacher=log-mel", "content.layer=0", "content.units=8", "model.size=XS",
                "training.epochs=2", "training.steps_per_epoch=4", "training.batch_size=8", "training.crop_s=1",
            ],
        )  # fmt: skip

    monkeypatch.setattr(demo, "_config", small)
    folder = tmp_path / "corpus"
    folder.mkdir()
    return make_corpus(folder, encode, speechlike)


class Strict(HTMLParser):
    """Counts what the page refers to outside itself."""

    def __init__(self):
        super().__init__()
        self.references = []

    def handle_starttag(self, tag, attributes):
        self.references += [v for k, v in attributes if k in ("src", "href") and v and not v.startswith("#")]


def test_the_demo_ends_in_the_table_and_a_second_run_reuses_all_of_it(corpus, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["demo", "--corpus", str(corpus), "--out", str(out)]
    assert cli.main(words) == 0
    shown, said = capsys.readouterr()

    # every stage spoke, every epoch was validated
    for line in ("== corpus", "== content units", "== train baseline", "== train hero", "== check", "total"):
        assert line in said
    assert said.count("dev EER") == 4

    # The Table: baseline, hero, the floor and the difference, for seen and unseen systems, in three forms
    markdown = (out / "table.md").read_text()
    for word in (
        "baseline",
        "hero",
        "content-blind floor",
        "hero - baseline",
        "seen systems",
        "unseen systems",
    ):
        assert word in markdown
        assert word in shown
    page = Strict()
    html = (out / "table.html").read_text()
    page.feed(html)
    assert page.references == []
    assert "<svg" in html

    # scores were written before figures, for the same trials
    tables = [read_scores(out / "scores" / f"{name}.tsv") for name in ("baseline", "hero", "floor")]
    assert {tuple(sorted(scores.trials.tolist())) for scores in tables} == {
        tuple(sorted(tables[0].trials.tolist()))
    }
    assert tables[0].metadata["model_sha256"] != tables[1].metadata["model_sha256"]

    # both models saw the same batches; only hero's encoder felt the adversary
    logs = [
        [json.loads(line) for line in (out / n / "log.jsonl").read_text().splitlines()]
        for n in ("baseline", "hero")
    ]
    assert [row["lambda"] for row in logs[0]] == [0.0, 0.0]
    assert logs[1][-1]["lambda"] > 0

    # the better one on dev is what `check --model demo` uses
    best = min(
        ("baseline", "hero"),
        key=lambda n: Detector(out / n / "prosody_encoder_best.onnx").card["metrics"]["dev_eer"],
    )
    assert Detector.from_pretrained("demo").card["name"] == best
    assert shown.count("check ") == 2

    files = {
        path: path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.suffix in (".tsv", ".safetensors", ".onnx")
    }
    timings = json.loads((out / "timings.json").read_text())
    assert cli.main(words) == 0
    assert capsys.readouterr().err.count("dev EER") == 0
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert json.loads((out / "timings.json").read_text())["train hero"] == timings["train hero"]
    assert (out / "table.md").read_text() == markdown


def test_a_corpus_without_unseen_trials_makes_no_table(corpus, tmp_path):
    rows = (corpus / "manifest.tsv").read_text().splitlines()
    (corpus / "manifest.tsv").write_text("\n".join(row for row in rows if "\ttest" not in row) + "\n")
    with pytest.raises(CorpusError, match="no test split with both labels"):
        demo.run_demo(
            tmp_path / "run", str(corpus), smoke=False, say=lambda line: None, show=lambda line: None
        )
    assert not installed_model("demo").exists()


def test_a_leaking_corpus_makes_no_table(corpus, tmp_path):
    text = (corpus / "manifest.tsv").read_text()
    (corpus / "manifest.tsv").write_text(text.replace("test person", "train person"))
    with pytest.raises(
        CorpusError, match="leaks, so The Table would be untrue: test and train share speaker"
    ):
        demo.run_demo(tmp_path / "run", str(corpus), smoke=False, say=lambda line: None, show=print)


def test_what_was_made_from_other_recordings_is_not_reused(corpus, tmp_path, encode, speechlike):
    """The same ids over other sound: scores are made anew, and a run's folder is refused."""
    from ringtrue import pipeline
    from ringtrue.data.corpora import load_corpus

    def units():
        content = load_config(
            "hero", ["content.teacher=log-mel", "content.layer=0", "content.units=8"]
        ).content
        return pipeline.prepare_units(content, load_corpus(corpus), lambda line: None)

    before = units()
    assert units().key == before.key
    for path in corpus.glob("train*.flac"):
        path.write_bytes(encode("flac", speechlike(1.4, seed=99)))
    assert units().key != before.key


def test_an_unreadable_recording_is_left_out_everywhere(corpus, tmp_path):
    from ringtrue import pipeline
    from ringtrue.data.corpora import load_corpus

    (corpus / "test3.flac").write_bytes(b"fLaC and then nothing")
    lines = []
    trials = load_corpus(corpus)
    kept = pipeline.screen(trials, lines.append)
    assert {t.id for t in trials} - {t.id for t in kept} == {"test3"}
    assert "test3.flac" in lines[0]
    assert pipeline.screen(trials, lines.append) == kept  # from the cache
    whole = (corpus / "test5.flac").read_bytes()
    (corpus / "test5.flac").write_bytes(whole[: 3 * len(whole) // 4])
    lines.clear()
    assert {t.id for t in trials} - {t.id for t in pipeline.screen(trials, lines.append)} == {
        "test3",
        "test5",
    }
    assert any("test5.flac" in line for line in lines)
    for name in ("test1", "test5", "test7", "dev1"):
        (corpus / f"{name}.flac").write_bytes(b"")
    with pytest.raises(CorpusError, match="5 of 56 recordings cannot be read"):
        pipeline.screen(trials, lines.append)


def test_without_the_real_teacher_it_says_so_and_goes_on(corpus, monkeypatch):
    from ringtrue import pipeline
    from ringtrue.data.corpora import load_corpus
    from ringtrue.data.corpora.starter import packages

    def gone(cache, progress):
        raise CorpusError("the package is gone")

    monkeypatch.setattr(packages, "whisper_base", gone)
    lines = []
    content = load_config("hero", ["content.units=8"]).content
    units = pipeline.prepare_units(content, load_corpus(corpus), lines.append)
    assert "the package is gone" in lines[0]
    assert "log-mel" in lines[0]
    assert len(units.by_trial) == 36  # train and dev; nothing of the test splits
