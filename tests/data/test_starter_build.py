"""The starter corpus from a miniature Debian: fake packages and engines, the real chain from end to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from starter_world import ENGINES, RECIPE, FakeEngines

from ringtrue.data.corpora.starter import builder, clips, engines, packages
from ringtrue.data.corpora.starter.texts import plain
from ringtrue.data.trials import Trial, check_disjoint
from ringtrue.errors import CorpusError


class World:
    """A machine where every package that is not in `gone` can be had."""

    def __init__(self, folder: Path, debian: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.lines, self.gone = folder, [], set()
        self.fake = FakeEngines()
        shutil.copytree(debian, folder / "prefix", copy_function=os.link)
        monkeypatch.setattr(builder, "RECIPES", {"small": RECIPE})
        monkeypatch.setattr(builder, "ENGINES", ENGINES)
        monkeypatch.setattr(packages, "fetch_debs", self.fetch)
        monkeypatch.setattr(engines, "prepare", lambda names, cache, progress: dict.fromkeys(names, ""))
        monkeypatch.setattr(engines, "run", self.fake.run)

    def fetch(self, names, cache, progress, **_):
        had = {name: packages.Deb("1.0", "00") for name in names if name not in self.gone}
        return packages.DebResult(self.folder / "prefix", had, dict.fromkeys(self.gone, "gone"))

    def build(self, name: str = "corpus", seed: int = 0) -> list[Trial]:
        self.lines.clear()
        return builder.build(
            "small", self.folder / name, self.folder / "cache", 1, self.lines.append, seed=seed
        )


@pytest.fixture
def world(tmp_path: Path, debian: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, debian, monkeypatch)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, debian: Path) -> Iterator[tuple[World, list[Trial]]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(tmp_path_factory.mktemp("world"), debian, monkeypatch)
        yield world, world.build()


def test_every_row_of_the_recipe_is_made(built):
    _, trials = built
    counts = Counter((trial.split, trial.system or trial.speaker) for trial in trials)
    expected = {(split, name): n for split, group in RECIPE.bonafide.items() for name, n in group.items()}
    expected |= {(row.split, row.engine): row.count for row in (*RECIPE.copies, *RECIPE.speech)}
    assert counts == expected


def test_every_field_of_every_trial_is_filled(built):
    _, trials = built
    for trial in trials:
        empty = {name for name, value in vars(trial).items() if value in ("", 0.0)}
        if trial.is_bonafide:
            assert empty == {"system", "acoustic_model", "vocoder"}
        else:  # what a synthesiser read was made from no human recording
            assert empty == (set() if trial.system.startswith("copy") else {"source_utterance"})


def test_the_clips_are_what_the_manifest_says(built):
    world, trials = built
    for trial in trials:
        info = soundfile.info(trial.audio)
        assert (info.samplerate, info.channels, info.format, info.subtype) == (16_000, 1, "FLAC", "PCM_16")
        assert info.duration == pytest.approx(trial.duration_s, abs=1e-3)
    listed = {Path(trial.audio) for trial in trials}
    assert set((world.folder / "corpus/audio").rglob("*.flac")) == listed
    assert not (world.folder / "corpus/raw").exists()


def test_train_dev_and_test_share_nothing_that_must_be_unseen(built):
    _, trials = built
    check_disjoint(trials)
    sides: dict[str, set[str]] = {}
    for trial in trials:
        sides.setdefault(plain(trial.transcript), set()).add(trial.split.removesuffix("_seen"))
    assert all(len(splits) == 1 for splits in sides.values())  # the same words are on one side only
    seen = {trial.system for trial in trials if trial.split == "test_seen"}
    assert seen <= {trial.system for trial in trials if trial.split == "train"}


def test_twins_share_speaker_words_codec_and_length(built):
    _, trials = built
    humans = {trial.id: trial for trial in trials if trial.is_bonafide}
    copies = [trial for trial in trials if trial.system.startswith("copy")]
    assert copies
    for copy in copies:
        human = humans[copy.source_utterance]
        for field in ("speaker", "language", "transcript", "codec", "licence"):
            assert getattr(copy, field) == getattr(human, field)
        assert copy.duration_s == human.duration_s


def test_synthesisers_read_what_people_of_that_split_say_first(built):
    _, trials = built
    said = {trial.transcript for trial in trials if trial.is_bonafide and trial.language == "cs"}
    read = {trial.transcript for trial in trials if trial.system == "tts_train" and trial.language == "cs"}
    assert read <= said


def test_provenance_names_versions_licences_and_counts(built):
    world, trials = built
    provenance = json.loads((world.folder / "corpus/provenance.json").read_text())
    licence = "LicenseRef-festvox-ru-BSD-like"
    assert provenance["packages"]["festvox-ru"] == {"version": "1.0", "sha256": "00", "licence": licence}
    assert set(provenance["engines"]) == {trial.system for trial in trials} - {""}
    assert sum(n for systems in provenance["counts"].values() for n in systems.values()) == len(trials)


def test_a_complete_corpus_is_returned_without_any_work(built, monkeypatch):
    world, trials = built
    monkeypatch.setattr(packages, "fetch_debs", lambda *_, **__: pytest.fail("fetched again"))
    assert world.build() == trials
    assert world.lines == []


def test_the_same_seed_makes_the_same_bytes(built):
    world, trials = built
    again = world.build("again")
    assert [trial.id for trial in again] == [trial.id for trial in trials]
    for first, second in zip(trials, again, strict=True):
        assert Path(first.audio).read_bytes() == Path(second.audio).read_bytes()


def test_a_killed_build_goes_on_where_it_stopped(world):
    world.fake.dies_after = 7
    with pytest.raises(KeyboardInterrupt):
        world.build()
    root = world.folder / "corpus"
    assert not (root / "manifest.tsv").exists()
    half = {path: path.stat().st_mtime_ns for path in root.rglob("*.flac")}
    assert half
    part = root / "audio/train/bonafide/.ringtrue-part-clip.x1.flac"
    part.write_bytes(b"half")
    made = len(world.fake.made)
    world.fake.dies_after = None
    trials = world.build()
    assert not part.exists()
    assert all(path.stat().st_mtime_ns == before for path, before in half.items())
    planned = sum(row.count for row in (*RECIPE.copies, *RECIPE.speech))
    assert len(world.fake.made) - made < planned
    assert len([trial for trial in trials if not trial.is_bonafide]) == planned


def test_a_deleted_clip_is_made_again(built):
    world, trials = built
    victim = Path(trials[-1].audio)
    before = victim.read_bytes()
    victim.unlink()
    assert world.build() == trials
    assert victim.read_bytes() == before


def test_a_missing_source_is_one_line_and_the_rest_goes_on(world):
    (world.folder / "prefix/usr/share/festival").rename(world.folder / "elsewhere")
    world.gone = {"festvox-ru"}
    world.fake.broken, world.fake.silent = {"tts_dev"}, {"tts_more"}
    trials = world.build()
    assert "festvox_ru_shmyrev" not in {trial.speaker for trial in trials}
    assert not {"tts_dev", "tts_more"} & {trial.system for trial in trials}
    assert [line for line in world.lines if line.startswith("going on without")] == [
        "going on without: gone (festvox-ru)",
        "going on without: 2 left out, mostly because: it crashed (tts_dev clips)",
        "going on without: 2 left out, mostly because: not 1.2 to 10 s of speech (tts_more clips)",
    ]
    missing = json.loads((world.folder / "corpus/provenance.json").read_text())["missing"]
    assert {"festvox-ru", "tts_dev clips", "tts_more clips"} <= set(missing)


def test_what_an_engine_cannot_say_gives_way_and_everything_else_stays(world, built):
    _, trials = built
    refused = next(trial for trial in trials if trial.system == "tts_test" and trial.language == "en")
    world.fake.refused = {refused.id}
    made = world.build()
    assert refused.id not in {trial.id for trial in made}
    assert len({trial.id for trial in made} - {trial.id for trial in trials}) == 1
    assert len(made) == len(trials)
    assert json.loads((world.folder / "corpus/provenance.json").read_text())["missing"] == {}


def test_a_full_disk_stops_the_build_and_blames_no_engine(world):
    world.fake.broken, world.fake.reason = {"tts_dev"}, "OSError: [Errno 28] No space left on device"
    with pytest.raises(CorpusError, match="is full: free some space and run again"):
        world.build()
    assert not (world.folder / "corpus/manifest.tsv").exists()


@pytest.mark.parametrize(
    ("text", "duration_s", "said"),
    [
        ("A penny.", 1.0, True),
        ("A penny.", 4.0, False),
        ("A penny " * 20, 1.8, False),
        ("A penny " * 20, 9.0, True),
    ],
)
def test_a_recording_that_cannot_say_its_text_is_told_from_one_that_can(text, duration_s, said):
    assert clips.is_said(text, duration_s) is said


def test_below_the_minimum_it_stops_before_the_engines_and_says_why(world):
    for name in ("fillets-ng", "tuxpaint"):
        where = world.folder / "prefix/usr/share" / ("games/fillets-ng" if name == "fillets-ng" else name)
        where.rename(world.folder / name)
    world.gone = {"fillets-ng-data-cs"}
    prepared = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "prepare", lambda names, *_: prepared.append(names))
        with pytest.raises(
            CorpusError, match=r"train has 0 speakers and needs 3.*gone \(fillets-ng-data-cs\)"
        ):
            world.build()
    assert prepared == []


@pytest.mark.parametrize(
    ("size", "workers", "message"),
    [("huge", 1, "sizes: small"), ("small", 0, "at least 1")],
)
def test_wrong_arguments_are_named(world, size, workers, message):
    with pytest.raises(CorpusError, match=message):
        builder.build(size, world.folder / "corpus", world.folder, workers, print)


def test_a_folder_that_holds_something_else_is_left_alone(world, built):
    stranger = world.folder / "stranger"
    stranger.mkdir()
    (stranger / "thesis.txt").write_text("mine")
    with pytest.raises(CorpusError, match="not a starter corpus"):
        world.build("stranger")
    other, _ = built
    with pytest.raises(CorpusError, match="other settings"):
        builder.build("small", other.folder / "corpus", world.folder, 1, print, seed=1)
    assert [path.name for path in stranger.iterdir()] == ["thesis.txt"]


_KILLED_BUILD = """
import os, time
from ringtrue.data.corpora.starter.builder import _processes
if __name__ == "__main__":
    with _processes(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_workers_do_not_outlive_a_killed_build(tmp_path):
    script = tmp_path / "build.py"
    script.write_text(_KILLED_BUILD)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s and Path(f"/proc/{worker}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
