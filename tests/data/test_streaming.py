"""Streaming from a hub-like repository of Parquet shards (and tar, and files): each clip once a pass, exact resume."""

import json
import re
import subprocess
import sys
import tarfile
from collections import Counter
from io import BytesIO

import numpy as np
import pytest

from ringtrue.data.batches import TrainingBatches, pieces_of
from ringtrue.data.corpora import load_corpus, load_piece, load_samples, parquet, sound
from ringtrue.data.streaming import StreamingBatches, _Pass
from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError, CorpusError

pyarrow = pytest.importorskip("pyarrow")
RATE_HZ = 16_000
HUMAN, MACHINE, SHARDS = 46, 62, 4


def clip(encode, number, label):
    """A recording that says what it is: a constant, and longer than any crop here."""
    level = (number + 1) / 256 * (1 if label == "bonafide" else -1)
    return encode("flac", np.full(4_000 + 10 * number, level, np.float32))


@pytest.fixture(scope="module")
def repository(tmp_path_factory, encode):
    """Shards as the hub holds them: two labels mixed, row groups of five, four files, a tar beside them."""
    from pyarrow import parquet as files

    root = tmp_path_factory.mktemp("repository")
    rows = [("bonafide", n) for n in range(HUMAN)] + [("spoof", n) for n in range(MACHINE)]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    for shard in range(SHARDS):
        part = rows[shard::SHARDS]
        table = pyarrow.table(
            {
                "id": [f"{label}-{number}" for label, number in part],
                "label": [label for label, _ in part],
                "system": ["" if label == "bonafide" else f"s{number % 3}" for label, number in part],
                "audio": [{"bytes": clip(encode, n, label), "path": f"{n}.flac"} for label, n in part],
            }
        )
        files.write_table(table, root / f"train-{shard:05d}-of-{SHARDS:05d}.parquet", row_group_size=5)
    return root


@pytest.fixture
def trials(repository):
    return load_corpus(f"table:{repository}?split=train")


def make(trials, **changed):
    return StreamingBatches(trials, **{"batch_size": 4, "crop_s": 0.2, "seed": 5, "reach": 12, **changed})


def same(left, right):
    return (
        left.ids == right.ids
        and np.array_equal(left.wave, right.wave)
        and np.array_equal(left.units, right.units)
    )


def of_label(batches, label):
    return [name for batch in batches for name in batch.ids if name.startswith(label)]


def test_the_recording_heard_is_the_one_named_and_labels_are_balanced(trials):
    for batch in make(trials).between(0, 40):
        assert batch.label.tolist() == [1, 0, 1, 0]
        for name, label, wave in zip(batch.ids, batch.label, batch.wave, strict=True):
            word, number = name.split("-")
            assert (word == "bonafide") == (label == 1)
            assert np.allclose(wave, (int(number) + 1) / 256 * (1 if label else -1), atol=1e-3)


def test_each_clip_comes_once_before_any_comes_twice(trials):
    names = of_label(make(trials).between(0, 3 * HUMAN // 2), "bonafide")
    for turn in range(3):
        part = names[turn * HUMAN : (turn + 1) * HUMAN]
        assert len(part) == len(set(part)) == HUMAN
    assert names[:HUMAN] != names[HUMAN : 2 * HUMAN]
    spoof = of_label(make(trials).between(0, MACHINE // 2), "spoof")
    assert len(set(spoof)) == MACHINE
    assert make(trials).batches_per_pass == MACHINE // 2


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_any_batch_is_what_it_is_in_order(trials, lanes):
    """Random access, a resumed run and an undisturbed one give the same bits: at every place, over pass borders."""
    whole = list(make(trials, lanes=lanes).between(0, 50))
    assert all(
        same(one, other) for one, other in zip(whole, make(trials, lanes=lanes).between(0, 50), strict=True)
    )
    batches = make(trials, lanes=lanes)
    for start in (1, 7, 22, 23, 24, 31, 49, 3):
        assert same(batches[start], whole[start])
    for start in range(0, 50, 6):
        resumed = list(make(trials, lanes=lanes).between(start, 50))
        assert all(same(one, other) for one, other in zip(resumed, whole[start:], strict=True))


def test_the_order_of_the_manifest_does_not_matter(trials):
    assert same(make(trials)[9], make(trials[::-1])[9])
    assert not same(make(trials)[9], make(trials, seed=6)[9])


@pytest.mark.parametrize(("ranks", "lanes"), [(2, 1), (2, 2), (3, 1)])
def test_processes_and_workers_share_every_pass(trials, ranks, lanes):
    seen = Counter()
    for rank in range(ranks):
        batches = make(trials, rank=rank, ranks=ranks, lanes=lanes)
        for label, count in (("bonafide", HUMAN), ("spoof", MACHINE)):
            for lane in range(lanes):
                # What a lane hears in its first pass: its own batches, cut where its share ends.
                share = count * (rank * lanes + lane + 1) // (ranks * lanes) - count * (
                    rank * lanes + lane
                ) // (ranks * lanes)
                own = [batches[number] for number in range(lane, lanes * 40, lanes)]
                seen.update(of_label(own, label)[:share])
    assert len(seen) == HUMAN + MACHINE
    assert set(seen.values()) == {1}


def test_a_loader_with_two_workers_gives_the_same_batches(trials):
    """Workers take turns, as torch's loader has them; each lane is one's own, and one may do the work of two."""
    import torch

    class Steps(torch.utils.data.Dataset):
        def __init__(self, batches):
            self.batches = batches

        def __getitem__(self, number):
            return self.batches[number]

    batches = make(trials, lanes=2)
    batches[0]  # the parent has files open: workers must not use them
    alone = list(make(trials, lanes=2).between(4, 30))
    for workers in (1, 2):
        loader = torch.utils.data.DataLoader(
            Steps(batches),
            sampler=range(4, 30),
            batch_size=None,
            num_workers=workers,
            collate_fn=lambda batch: batch,
        )
        assert all(same(one, other) for one, other in zip(loader, alone, strict=True))


SCRIPT = """
import json, sys, hashlib, time
from ringtrue.data.corpora import load_corpus
from ringtrue.data.streaming import StreamingBatches
folder, rank, ranks, start, stop = sys.argv[1], *map(int, sys.argv[2:])
trials = load_corpus(f"table:{folder}?split=train")
batches = StreamingBatches(trials, 4, 0.2, seed=5, reach=12, rank=rank, ranks=ranks)
for number, batch in enumerate(batches.between(start, stop), start):
    print(json.dumps([number, batch.ids, hashlib.sha256(batch.wave.tobytes()).hexdigest()]), flush=True)
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_killed_and_resumed_it_neither_repeats_nor_loses(repository, ranks):
    """Real processes, killed with SIGKILL in the middle of a pass; new ones go on from the step reached."""
    stop = 40
    seen = []
    for rank in range(ranks):
        words = [sys.executable, "-c", SCRIPT, str(repository), str(rank), str(ranks)]
        undisturbed = subprocess.run([*words, "0", str(stop)], capture_output=True, text=True, check=True)
        wanted = [json.loads(line) for line in undisturbed.stdout.splitlines()]
        first = subprocess.Popen([*words, "0", "100000"], stdout=subprocess.PIPE, text=True)
        got = [json.loads(first.stdout.readline()) for _ in range(13 + rank)]
        first.kill()
        first.communicate()
        rest = subprocess.run([*words, str(len(got)), str(stop)], capture_output=True, text=True, check=True)
        got += [json.loads(line) for line in rest.stdout.splitlines()]
        assert got == wanted
        seen += [name for _, names, _ in got for name in names if name.startswith("bonafide")][
            : HUMAN // ranks
        ]
    assert len(seen) == len(set(seen)) == HUMAN


def test_memory_is_bounded_by_reach_and_runs(trials, monkeypatch):
    most = 0
    take = _Pass.next

    def watched(self):
        nonlocal most
        most = max(most, sum(len(run) for run in self._open.values()))
        return take(self)

    monkeypatch.setattr(_Pass, "next", watched)
    list(make(trials, reach=4).between(0, 60))
    assert 0 < most <= 2 * 4 + 2 * 5  # what drifts in and out of reach, and the rest of the runs at both ends


def test_each_row_group_is_read_once_a_pass(trials, monkeypatch):
    reads = Counter()
    read = parquet.read_run
    monkeypatch.setattr(
        "ringtrue.data.corpora.parquet.read_run",
        lambda references: reads.update([parquet.group_of(references[0])]) or read(references),
    )
    list(
        make([t for t in trials if t.is_bonafide] + [t for t in trials if not t.is_bonafide]).between(
            0, HUMAN // 2
        )
    )
    assert max(reads.values()) <= 2  # once for each label


def test_units_follow_their_clip(trials):
    units = {t.id: np.full(99, int(t.id.split("-")[1]), np.int16) for t in trials}
    batch = make(trials, units=units)[3]
    assert batch.units[:, 0].tolist() == [int(name.split("-")[1]) for name in batch.ids]


def test_pieces_are_cut_as_out_of_whole_recordings(trials, repository, tmp_path, encode, speechlike):
    """Rows of Parquet, and files that a decoder can jump in and not: crop, units and frame are the same."""
    kinds = {"bonafide": ("flac", "wav", "mp3"), "spoof": ("flac", "wav_float", "ogg")}
    files = []
    for label, names in kinds.items():
        for number, kind in enumerate(names):
            path = tmp_path / f"{label}-{number}.{kind}"
            path.write_bytes(encode(kind, speechlike(0.7 + number, seed=number)))
            files.append(Trial(path.name, str(path), label, speaker=kind))
    for these in (trials, files):
        units = {trial.id: np.arange(200, dtype=np.int16) for trial in these}
        options = {"batch_size": 8, "crop_s": 0.2, "seed": 5, "units": units}
        jumped = TrainingBatches(these, load_piece, **options)
        whole = TrainingBatches(these, pieces_of(load_samples), **options)
        for number in range(12):
            assert same(jumped[number], whole[number])
            assert np.array_equal(jumped[number].starts, whole[number].starts)


def test_it_makes_what_training_takes(trials):
    one, other = make(trials)[0], TrainingBatches(trials, load_piece, 4, 0.2, 5)[0]
    for name in ("wave", "label", "units"):
        assert getattr(one, name).dtype == getattr(other, name).dtype
        assert getattr(one, name).shape == getattr(other, name).shape


# --- tar, files, and what is broken ----------------------------------------------------------------------------


def tar_of(path, members):
    with tarfile.open(path, "w") as shard:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, BytesIO(content))


def test_tar_shards_and_plain_files_stream_alike(tmp_path, encode):
    for shard in range(2):
        members = []
        for number in range(shard, 20, 2):
            label = "bonafide" if number % 3 else "spoof"
            members.append((f"a.b/{number:03d}.flac", clip(encode, number, label)))
            members.append((f"a.b/{number:03d}.json", json.dumps({"label": label, "attack": "x"}).encode()))
            members.append((f"a.b/{number:03d}.txt", b"what is said"))
        tar_of(tmp_path / f"{shard}.tar", members)
    trials = load_corpus(f"table:{tmp_path}?split=train")
    assert len(trials) == 20
    assert {t.transcript for t in trials} == {"what is said"}
    assert trials[0].id == "a.b/000"
    files = []
    for trial in trials:
        path = tmp_path / f"{trial.id.replace('/', '-')}.flac"
        path.write_bytes(sound.audio_source(trial))
        files.append(Trial(trial.id, str(path), trial.label))
    for these in (trials, files):
        batches = list(make(these, batch_size=2).between(0, 30))
        assert all(
            np.allclose(np.abs(wave), (int(name[-3:]) + 1) / 256, atol=1e-3)
            for batch in batches
            for name, wave in zip(batch.ids, batch.wave, strict=True)
        )
        names = [
            name for batch in batches for name, label in zip(batch.ids, batch.label, strict=True) if label
        ]
        assert len(set(names[:13])) == 13


def test_a_bad_sample_of_a_shard_costs_itself(tmp_path, encode, monkeypatch):
    monkeypatch.setattr("ringtrue.data.corpora.rows.MOST_BAD", 0.7)
    sound = clip(encode, 1, "spoof")
    members = [
        ("0.flac", sound),
        ("0.json", b'{"label": "fake"}'),
        ("1.flac", sound),
        ("1.json", b"{label"),
        ("2.flac", sound),
        ("2.json", b"[1]"),
        ("3.json", b'{"label": "fake"}'),
        ("4.flac", sound),
        ("4.cls", b"real"),
    ]
    tar_of(tmp_path / "0.tar", members)
    lines = []
    trials = load_corpus(f"table:{tmp_path}?split=train", lines.append)
    assert [trial.id for trial in trials] == ["0", "4"]
    for line, reason in ((2, "1.json: "), (3, "2.json: no JSON object"), (4, "it names no recording")):
        assert any(f"0.tar, line {line}: {reason}" in told for told in lines)
    assert any("3 of 5 rows are bad and left out" in told for told in lines)


def test_names_and_links_in_a_tar_lead_nowhere(tmp_path, encode):
    """A member is a range of its own file: its name is an id, and what is no plain file is passed over."""
    sound_of = clip(encode, 1, "spoof")
    with tarfile.open(tmp_path / "0.tar", "w") as shard:
        for name, kind in (("../../etc/cron.flac", tarfile.REGTYPE), ("link.flac", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            member.size = len(sound_of) if kind == tarfile.REGTYPE else 0
            shard.addfile(member, BytesIO(sound_of))
    (trial,) = load_corpus(f"table:{tmp_path}?label=spoof&split=train")
    assert trial.audio.startswith(f"{tmp_path}/0.tar#")
    assert sound.audio_source(trial) == sound_of


@pytest.mark.parametrize(
    ("size", "said"),
    [(1 << 20, "it names no recording"), ((1 << 20) + 1, "2.txt says that it holds 1048577 bytes of text")],
)
def test_text_without_end_in_a_tar_is_refused(tmp_path, size, said):
    """A sparse member takes a few bytes and claims any number of zeros."""
    member = tarfile.TarInfo("2.txt")
    member.size = size
    with tarfile.open(tmp_path / "0.tar", "w") as shard:
        shard.addfile(member, BytesIO(bytes(size)))
    with pytest.raises(CorpusError, match=re.escape(said)):
        load_corpus(f"table:{tmp_path}?label=spoof&split=train")


def test_a_damaged_recording_is_stood_in_for_and_named(trials, tmp_path):
    (tmp_path / "bad.flac").write_bytes(b"no sound")
    spoilt = [
        *trials,
        Trial("spoof-999", str(tmp_path / "bad.flac"), "spoof"),
        Trial("bonafide-998", "gone.wav", "bonafide"),
    ]
    batches = list(make(spoilt).between(0, 40))
    faults = [fault for batch in batches for fault in batch.faults]
    assert any("spoof-999" in fault and "bad.flac" in fault for fault in faults)
    assert any("bonafide-998" in fault for fault in faults)
    assert all(batch.label.tolist() == [1, 0, 1, 0] for batch in batches)
    assert not any("99" in name for batch in batches for name in batch.ids if name.endswith(("998", "999")))
    assert same(batches[31], make(spoilt)[31])


def test_too_many_faults_stop_it(trials, tmp_path):
    gone = [Trial(f"bonafide-{n}", str(tmp_path / f"{n}.wav"), "bonafide") for n in range(100, 130)]
    with pytest.raises(CorpusError, match=r"recordings cannot be read, more than 5%"):
        list(make([*trials, *gone], batch_size=16).between(0, 100))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 3}, "an even batch_size"),
        ({"rank": 2, "ranks": 2}, "a rank from 0 below ranks"),
        ({"ranks": 50}, "46 bonafide training trials for 50 streams"),
    ],
)
def test_what_cannot_be_is_refused(trials, changed, message):
    with pytest.raises(CorpusError, match=message):
        make(trials, **changed)


def test_a_shard_that_is_cut_is_one_line(tmp_path, encode):
    tar_of(tmp_path / "0.tar", [("1.flac", clip(encode, 1, "spoof")), ("2.flac", clip(encode, 2, "spoof"))])
    whole = (tmp_path / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_bytes(whole[:700])
    with pytest.raises(CorpusError, match=r"0\.tar cannot be read as a tar file"):
        load_corpus(f"table:{tmp_path}?label=spoof&split=train")
    with pytest.raises(AudioError, match="ends before the recording does"):
        sound.read_run([f"{tmp_path}/0.tar#512+5000"])
