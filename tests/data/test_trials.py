from dataclasses import replace

import pytest

from ringtrue.data.trials import Trial, check_disjoint, read_manifest, validate, write_manifest
from ringtrue.errors import CorpusError

HUMAN = Trial(
    "a", "audio/a.flac", "bonafide", speaker="p1", language="cs", transcript='He said "hi"\tand, left\nthen',
    source_utterance="a", split="train", corpus="toy", source="package 1.0", licence="MIT", duration_s=1.25,
)  # fmt: skip
MACHINE = Trial("b", "audio/b.flac", "spoof", system="Sys (v1), x", speaker="voice", split="train")


def test_a_manifest_reads_back_and_finds_its_audio(tmp_path):
    write_manifest(tmp_path / "manifest.tsv", [HUMAN, MACHINE])
    read = read_manifest(tmp_path / "manifest.tsv")
    assert read == [replace(trial, audio=str(tmp_path / trial.audio)) for trial in (HUMAN, MACHINE)]


def test_any_table_with_audio_and_label_will_do(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("\ufefflabel\taudio\textra\nbonafide\t/abs/x.wav\t1\nspoof\ty.wav\t2\n", encoding="utf-8")
    first, second = read_manifest(path)
    assert (first.audio, second.audio, second.id) == (
        "/abs/x.wav",
        str(tmp_path / "y.wav"),
        str(tmp_path / "y.wav"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("audio\tlabel\nx.wav\tbona-fide\n", "line 2: label 'bona-fide'; accepted: bonafide or spoof"),
        ("audio\tlabel\nx.wav\tspoof\n\ny.wav\n", "line 4: the number of cells"),
        ("audio\tlabel\nx.wav\tspoof\textra\n", "line 2: the number of cells"),
        ("audio,label\nx.wav,spoof\n", r"it lacks \['audio', 'label'\].*tab-separated"),
        ("audio\tlabel\tduration_s\nx\tspoof\tlong\n", "line 2: duration_s 'long'"),
        ("audio\tlabel\n", "holds no trials"),
        ("", "it lacks"),
        ("audio\tlabel\tid\nx\tspoof\t1\ny\tspoof\t1\n", "the id '1' occurs 2 times"),
        ("audio\tlabel\tsplit\nx\tspoof\teval\n", r"unknown split \['eval'\]; accepted: train"),
    ],
)
def test_a_wrong_manifest_names_file_and_line(tmp_path, text, message):
    path = tmp_path / "bad.tsv"
    path.write_text(text)
    with pytest.raises(CorpusError, match=message) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)


def test_a_missing_and_a_binary_manifest_are_said(tmp_path):
    with pytest.raises(CorpusError, match="no manifest at"):
        read_manifest(tmp_path / "none.tsv")
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(CorpusError, match="UTF-8"):
        read_manifest(tmp_path / "binary.tsv")


@pytest.mark.parametrize(
    ("trial", "leak"),
    [
        (replace(HUMAN, id="x", split="test", source_utterance=""), "test and train share speaker"),
        (replace(HUMAN, id="x", split="dev", speaker="new"), "dev and train share source_utterance"),
        (replace(MACHINE, id="x", split="dev", speaker="new"), "dev and train share system"),
        (replace(MACHINE, id="x", split="test", speaker="new"), "test and train share system"),
        (replace(MACHINE, id="x", split="test_seen"), "test_seen and train share speaker"),
    ],
)
def test_a_leak_is_found(trial, leak):
    with pytest.raises(CorpusError, match=leak):
        check_disjoint([HUMAN, MACHINE, trial])


def test_seen_systems_with_unseen_voices_are_no_leak():
    check_disjoint(
        [HUMAN, MACHINE, replace(MACHINE, id="x", split="test_seen", speaker="other voice", audio="y")]
    )


def test_a_system_of_both_dev_and_test_is_a_leak():
    dev, test = (replace(MACHINE, id=split, split=split, speaker=split) for split in ("dev", "test"))
    with pytest.raises(CorpusError, match="test and dev share system"):
        check_disjoint([dev, test])


def test_no_trials_are_no_corpus():
    with pytest.raises(CorpusError, match="nothing holds no trials"):
        validate([], "nothing")
