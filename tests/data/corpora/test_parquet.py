"""Recordings inside Parquet files: references, LibriSpeech from the hub, the arena's re-packs, and local folders."""

import json

import numpy as np
import pytest

from ringtrue.data.corpora import audio_source, load_corpus, load_samples, parquet
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import AudioError, CorpusError

pytest.importorskip("pyarrow")

LIBRI = {
    "file": ["84-121123-0000.flac", "84-121123-0001.flac", "84-121550-0000.flac"],
    "text": ["GO DO YOU HEAR", "BUT IN LESS THAN FIVE MINUTES", "BUT WITH FULL RAVISHMENT"],
    "speaker_id": [84, 84, 84],
    "chapter_id": [121123, 121123, 121550],
    "id": ["84-121123-0000", "84-121123-0001", "84-121550-0000"],
}


def test_a_row_is_decoded_like_a_file(parquet_file, tmp_path):
    """Row by row, over row groups, in any order, equal to decoding the same bytes from a file."""
    file = parquet_file("five.parquet", {"n": list(range(5))})
    references = [sound for _, _, sound in parquet.rows(file)]
    assert references == [f"{file}#{row}" for row in range(5)]
    for row in (4, 0, 3, 1, 2, 2):
        trial = Trial("x", references[row], "bonafide")
        (tmp_path / "same.flac").write_bytes(audio_source(trial))
        samples = load_samples(trial)
        assert len(samples) == 1_600 * (row + 1)
        np.testing.assert_array_equal(
            samples, load_samples(Trial("x", str(tmp_path / "same.flac"), "bonafide"))
        )


def test_a_reference_survives_a_manifest(parquet_file, tmp_path):
    parquet_file("data/five.parquet", {"n": [0, 1]})
    write_manifest(tmp_path / "m.tsv", [Trial("x", "data/five.parquet#1", "bonafide")])
    (trial,) = read_manifest(tmp_path / "m.tsv")
    assert len(load_samples(trial)) == 3_200


def test_what_cannot_be_read_is_an_audio_error(parquet_file, tmp_path):
    file = parquet_file("two.parquet", {"n": [0, 1]})
    silent = parquet_file("silent.parquet", {"n": [0, 1]}, sound="")
    (tmp_path / "text.parquet").write_text("not Parquet")
    for reference, complaint in {
        f"{file}#2": "the file has 2 rows",
        f"{silent}#0": "no column holds recordings; it has n",
        f"{tmp_path / 'text.parquet'}#0": "cannot be read as Parquet",
        f"{tmp_path / 'gone.parquet'}#0": "gone.parquet cannot be read",
    }.items():
        with pytest.raises(AudioError, match=complaint):
            load_samples(Trial("x", reference, "spoof"))
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"audio": [{"bytes": b"no sound", "path": "a"}, {"bytes": None, "path": "b"}]})
    pyarrow.parquet.write_table(table, tmp_path / "bad.parquet")
    with pytest.raises(AudioError, match=r"bad.parquet#0: "):
        load_samples(Trial("x", f"{tmp_path / 'bad.parquet'}#0", "spoof"))
    with pytest.raises(AudioError, match=r"bad.parquet#1: the row holds no recording"):
        load_samples(Trial("x", f"{tmp_path / 'bad.parquet'}#1", "spoof"))


def test_librispeech_from_the_hubs_parquet(parquet_file, tmp_path, told, by_id):
    parquet_file("clean/train.100-00000-of-00002.parquet", LIBRI)
    later = {
        name: [f"{value}0" if name == "id" else value for value in column] for name, column in LIBRI.items()
    }
    parquet_file("clean/train.100-00001-of-00002.parquet", later)
    parquet_file(
        "other/validation-00000-of-00001.parquet", {**LIBRI, "id": ["a", "b", "c"], "speaker_id": [1, 1, 2]}
    )
    trials = by_id(load_corpus(f"librispeech:{tmp_path}", told))
    assert len(trials) == 9
    one = trials["84-121123-0001"]
    assert (one.speaker, one.split, one.transcript) == (
        "librispeech-84", "train", "BUT IN LESS THAN FIVE MINUTES",
    )  # fmt: skip
    assert len(load_samples(one)) == 3_200
    assert trials["c"].split == "dev"
    assert told == [
        "librispeech: 6 utterances of train-clean-100 where 28,539 are published: a part of it",
        "librispeech: 3 utterances of dev-other where 2,864 are published: a part of it",
    ]


def test_librispeech_in_the_hubs_configuration_of_all(parquet_file, tmp_path, told):
    for number, split in enumerate(("train.clean.100", "train.other.500", "validation.other", "test.clean")):
        columns = {**LIBRI, "id": [f"{split}-{row}" for row in range(3)], "speaker_id": [number] * 3}
        parquet_file(f"all/{split}-00000-of-00001.parquet", columns)
    trials = load_corpus(f"librispeech:{tmp_path}", told)
    assert [(t.id, t.split) for t in trials[::3]] == [
        ("train.clean.100-0", "train"), ("train.other.500-0", "train"), ("validation.other-0", "dev"),
        ("test.clean-0", "test"),
    ]  # fmt: skip
    assert [line.partition(" where")[0] for line in told] == [
        f"librispeech: 3 utterances of {subset}"
        for subset in ("train-clean-100", "train-other-500", "dev-other", "test-clean")
    ]


def test_librispeech_in_folders_gives_the_same_trials(parquet_file, plant, write, told, tmp_path):
    parquet_file("hub/clean/test-00000-of-00001.parquet", LIBRI)
    for chapter in ("121123", "121550"):
        rows = [
            f"{name} {text}" for name, text in zip(LIBRI["id"], LIBRI["text"], strict=True) if chapter in name
        ]
        folder = f"local/LibriSpeech/test-clean/84/{chapter}"
        write(f"{folder}/84-{chapter}.trans.txt", "\n".join(rows) + "\n")
        plant(*(f"{folder}/{row.split()[0]}.flac" for row in rows))
    local, remote = (load_corpus(f"librispeech:{tmp_path / side}", told) for side in ("local", "hub"))
    known = [
        [(t.id, t.speaker, t.transcript, t.source_utterance, t.split) for t in side]
        for side in (local, remote)
    ]
    assert known[0] == known[1]
    assert {len(load_samples(trial)) for trial in local} == {3_200}
    (tmp_path / "local/LibriSpeech/test-clean/84/121550/84-121550-0000.flac").unlink()
    with pytest.raises(CorpusError, match=r"84-121550.trans.txt, line 1: no recording at"):
        load_corpus(f"librispeech:{tmp_path / 'local'}", told)
    with pytest.raises(CorpusError, match="holds none of train-clean-100"):
        load_corpus(f"librispeech:{tmp_path / 'local' / 'LibriSpeech' / 'test-clean'}", told)


def arena(parquet_file, labels=(0, 1, 1)):
    notes = [
        json.dumps({"utterance_id": "LA_E_1", "speaker_id": "LA_0039", "attack_id": "-", "codec": None}),
        json.dumps({"utterance_id": "LA_E_2", "speaker_id": "LA_0014", "attack_id": "A11", "codec": "alaw"}),
        "{}",
    ]
    columns = {"path": ["a/1.flac", "a/2.flac", "a/3.flac"], "label": list(labels), "notes": notes}
    return parquet_file("ASVspoof2019_LA/data/test-00000-of-00001.parquet", columns)


def test_the_arena(parquet_file, tmp_path, told):
    arena(parquet_file)
    trials = load_corpus(f"arena:{tmp_path / 'ASVspoof2019_LA'}", told)
    assert [(t.id, t.label, t.system, t.speaker, t.codec) for t in trials] == [
        ("LA_E_1", "bonafide", "", "LA_0039", ""),
        ("LA_E_2", "spoof", "A11", "LA_0014", "alaw"),
        ("a/3.flac", "spoof", "unknown", "", ""),
    ]
    assert {t.split for t in trials} == {"test"}
    assert {t.corpus for t in trials} == {"arena-ASVspoof2019_LA"}
    assert told.about("3 rows of 'all' where 71,237 are published")
    assert [len(load_samples(t)) for t in trials] == [1_600, 3_200, 4_800]


def test_the_arena_with_another_label(parquet_file, tmp_path, told):
    file = arena(parquet_file, labels=(0, 1, 2))
    with pytest.raises(CorpusError, match=r"1 of 3 rows are bad"):
        load_corpus(f"arena:{tmp_path / 'ASVspoof2019_LA'}", told)
    assert told.about(f"{file}, line 3: no row of path, audio, label (0, 1), notes: ValueError")
    with pytest.raises(CorpusError, match="holds no Parquet file"):
        load_corpus(f"arena:{tmp_path / 'none'}", told)


def test_a_parquet_table_of_any_names(parquet_file, plant, tmp_path, told):
    file = parquet_file(
        "mine.parquet", {"key": ["real", "fake"], "attack": [None, "x"], "lang": ["en", "cs"]}
    )
    # so small a corpus is not split in four: read it as the reader does
    from ringtrue.data.corpora.table import read

    trials = read(file, told)
    assert [(t.label, t.system, t.language) for t in trials] == [("bonafide", "", "en"), ("spoof", "x", "cs")]
    assert [len(load_samples(t)) for t in trials] == [1_600, 3_200]
    plant("a.wav", "b.wav")
    file = parquet_file("paths.parquet", {"path": ["a.wav", "b.wav"], "label": ["real", "fake"]}, sound="")
    assert [len(load_samples(t)) for t in read(file, told)] == [3_200, 3_200]
