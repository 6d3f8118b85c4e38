"""Our own table: it reads back, and each of its bad rows is told with file and line."""

from dataclasses import replace

import pytest

from ringtrue.data.corpora import load_corpus
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import CorpusError

HUMAN = Trial(
    "a", "audio/a.flac", "bonafide", speaker="p1", language="cs", transcript='He said "hi"\tand, left\nthen',
    source_utterance="a", split="train", corpus="toy", source="package 1.0", licence="MIT", duration_s=1.25,
)  # fmt: skip
MACHINE = Trial("b", "audio/b.flac", "spoof", system="Sys (v1), x", speaker="voice", split="train")


def test_a_manifest_reads_back_and_finds_its_audio(plant, told):
    root = plant("audio/a.flac", "audio/b.flac")
    write_manifest(root / "manifest.tsv", [HUMAN, MACHINE])
    trials = [replace(trial, audio=str(root / trial.audio)) for trial in (HUMAN, MACHINE)]
    assert read_manifest(root / "manifest.tsv", told) == trials
    assert told == []


def test_any_table_with_audio_and_label_will_do(plant, write):
    root = plant("x.wav", "y.wav")
    path = write(
        "mine.tsv", f"label\taudio\textra\nbonafide\t{root}/x.wav\t1\nspoof\ty.wav\t2\n", "utf-8-sig"
    )
    first, second = read_manifest(path)
    assert (first.audio, second.audio, second.id) == (f"{root}/x.wav", f"{root}/y.wav", f"{root}/y.wav")


def test_recordings_elsewhere_are_taken_at_their_word(tmp_path):
    audios = ["hf://datasets/a/b@c/d.wav", f"{tmp_path}/a.parquet#3", f"{tmp_path}/a.tar#512+9"]
    write_manifest(tmp_path / "m.tsv", [Trial(str(n), audio, "spoof") for n, audio in enumerate(audios)])
    assert [trial.audio for trial in read_manifest(tmp_path / "m.tsv")] == audios


HEADER = "audio\tlabel\tid\tsplit\tduration_s"
BAD = {  # row: what is told of it
    "x.wav\tbona-fide\tb1\t\t": "label 'bona-fide'; accepted: bonafide, spoof",
    "x.wav\tspoof": "2 cells where the header has 5",
    "x.wav\tspoof\tb3\t\t\textra": "6 cells where the header has 5",
    "x.wav\tspoof\tb4\teval\t": "split 'eval'; accepted: train, dev, test_seen, test",
    "x.wav\tspoof\tb5\t\tlong": "duration_s 'long' is not a number",
    "gone.wav\tspoof\tb6\t\t": "no recording at ",
    "\tspoof\tb7\t\t": "it names no recording",
    "x.wav\tspoof\tg0\t\t": "duplicate of 'g0'",
}


def test_each_bad_row_is_told_with_file_and_line_and_the_rest_is_read(plant, write, told):
    plant("x.wav")
    good = [f"x.wav\tspoof\tg{number}\ttrain\t1.5" for number in range(800)]
    path = write("list.tsv", "\n".join([HEADER, *good, "", *BAD]) + "\n")
    trials = read_manifest(path, told)
    assert [trial.id for trial in trials] == [f"g{number}" for number in range(800)]
    assert told[-1] == "list.tsv: 8 of 808 rows are bad and left out"
    for line, (text, reason) in enumerate(zip(told[:-1], BAD.values(), strict=True), 803):
        assert text.startswith(f"list.tsv: {path}, line {line}: {reason}")


def test_past_the_stated_share_it_stops_and_all_are_told(plant, write, told):
    plant("x.wav")
    good = [f"x.wav\tspoof\tg{number}\ttrain\t1.5" for number in range(700)]
    path = write("list.tsv", "\n".join([HEADER, *good, *BAD]))
    with pytest.raises(
        CorpusError, match=r"8 of 708 rows are bad, more than 1%; the first: .*list.tsv, line 702: "
    ):
        read_manifest(path, told)
    assert len(told.about(f"{path}, line ")) == 8


def test_a_recording_cut_short_is_a_bad_row_where_that_is_asked_for(plant, write, told, encode, speechlike):
    root = plant("x.wav")
    content = encode("flac", speechlike(3.0))
    (root / "cut.flac").write_bytes(content[: len(content) // 2])
    good = [f"x.wav\tspoof\tg{number}\ttrain\t" for number in range(120)]
    path = write("manifest.tsv", "\n".join([HEADER, *good, "cut.flac\tspoof\tc\ttrain\t"]))
    assert len(load_corpus(path, told)) == 121
    assert not told.about("cut.flac")
    for source in (path, root):
        told.clear()
        assert len(load_corpus(f"{source}?verify=yes", told)) == 120
        assert "ends early: " in told.about(f"{path}, line 122: ")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("audio,label\nx.wav,spoof\n", r"line 1: the header 'audio,label' gives no columns \['audio', 'label'\]"),
        ("", r"bad.tsv, line 1: the header '' gives no columns"),
        ("audio\tlabel\n", "bad.tsv holds no trials"),
    ],
)  # fmt: skip
def test_what_is_no_manifest_says_so(write, text, message):
    with pytest.raises(CorpusError, match=message):
        read_manifest(write("bad.tsv", text))


def test_a_missing_and_a_binary_manifest_are_said(tmp_path):
    with pytest.raises(CorpusError, match="no manifest at"):
        read_manifest(tmp_path / "none.tsv")
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(CorpusError, match="UTF-8"):
        read_manifest(tmp_path / "binary.tsv")
