"""Bad rows: each is told with file and line, counted, and only too many of them stop the reading."""

from pathlib import Path

import pytest

from ringtrue.data.corpora import load_corpus
from ringtrue.data.corpora.rows import Reading, find_folder, label_of, protocol_rows, read_text, table_rows
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import CorpusError


def trial(number, audio="there.wav"):
    return Trial(f"t{number}", audio, "spoof", system="s", split="train")


def reading_with(told, path, good, bad):
    reading = Reading("toy", told, check_audio=False)
    for number in range(good):
        assert reading.add(trial(number), path, number + 1)
    for number in range(bad):
        reading.bad(path, 900 + number, "spoilt")
    return reading


def test_up_to_one_row_in_a_hundred_may_be_bad(told, tmp_path):
    trials = reading_with(told, tmp_path / "list.txt", 99, 1).finish()
    assert len(trials) == 99
    assert told == [
        f"toy: {tmp_path / 'list.txt'}, line 900: spoilt",
        "toy: 1 of 100 rows are bad and left out",
    ]


def test_more_stop_it_and_all_are_told(told, tmp_path, monkeypatch):
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        CorpusError, match=r"2 of 100 rows are bad, more than 1%; the first: .*list.txt, line 900"
    ):
        reading_with(told, tmp_path / "list.txt", 98, 2).finish()
    assert len(told.about("spoilt")) == 2
    told.clear()
    with pytest.raises(CorpusError, match="500 of 510") as caught:
        reading_with(told, tmp_path / "list.txt", 10, 500).finish()
    assert len(told) == 20  # not a screenful for a forgotten folder: the rest is in a file
    listed = Path(str(caught.value).rpartition("all of them: ")[2]).read_text().splitlines()
    assert listed == [f"{tmp_path / 'list.txt'}, line {900 + number}: spoilt" for number in range(500)]


def test_duplicates_and_missing_recordings_are_bad_rows(told, plant):
    root = plant("there.wav")
    reading = Reading("toy", told)
    assert reading.add(trial(1, str(root / "there.wav")), root, 1)
    assert not reading.add(trial(1, str(root / "there.wav")), root, 2)
    assert not reading.add(trial(2, str(root / "gone.wav")), root, 3)
    assert not reading.add(trial(3, str(root / "no folder" / "gone.wav")), root, 4)
    with pytest.raises(CorpusError, match="3 of 4 rows are bad"):
        reading.finish()
    assert [line.split(": ", 2)[2].split(" at ")[0] for line in told] == [
        "duplicate of 't1'", "no recording", "no recording",
    ]  # fmt: skip


def test_counts_that_differ_from_the_published_are_told_and_no_more(told, tmp_path):
    reading = reading_with(told, tmp_path, 5, 0)
    reading.finish({"train": 5, "train spoof": 5, "train bonafide": 2, "all": 1_000})
    assert len(told) == 2
    assert "0 rows of 'train bonafide' where 2 are published" in told[0]
    assert "5 rows of 'all' where 1,000" in told[1]


@pytest.mark.parametrize("delimiter", ["|", "\t", ",", ";"])
def test_the_delimiter_is_found_and_a_byte_order_mark_ignored(told, write, delimiter):
    rows = [["path", "label"], ["a b.wav", "real"], ["c.wav", "fake"]]
    path = write("t.csv", "\r\n".join(delimiter.join(row) for row in rows), "utf-8-sig")
    assert list(table_rows(path, {"path", "label"}, Reading("toy", told))) == [
        (2, {"path": "a b.wav", "label": "real"}),
        (3, {"path": "c.wav", "label": "fake"}),
    ]


def test_quotes_are_letters_between_bars(told, write):
    path = write("t.csv", 'path|transcript\na.wav|He said "no.\nb.wav|"Yes", she said.\n')
    assert [row["transcript"] for _, row in table_rows(path, {"path"}, Reading("toy", told))] == [
        'He said "no.', '"Yes", she said.',
    ]  # fmt: skip


def test_a_wrong_delimiter_shows_the_header(told, write):
    path = write("t.csv", "path:label\na:b\n")
    with pytest.raises(
        CorpusError, match=r"t.csv, line 1: the header 'path:label' gives no columns .*tab , ;"
    ):
        list(table_rows(path, {"path", "label"}, Reading("toy", told)))


def test_rows_of_another_length_are_bad(told, write):
    reading = Reading("toy", told)
    path = write("t.csv", "path,label\na,b,c\na,b\n\na\n")
    assert [line for line, _ in table_rows(path, {"path"}, reading)] == [3]
    path = write("p.txt", "a b c\n\na b\n  d   e f \n")
    assert [line for line, _ in protocol_rows(path, (3,), reading)] == [1, 4]
    with pytest.raises(CorpusError, match="3 of 3 rows"):
        reading.finish()
    assert [line.partition(", ")[2] for line in told] == [
        "line 2: 3 cells where the header has 2",
        "line 5: 1 cells where the header has 2",
        "line 3: 2 columns parted by spaces; accepted: 3",
    ]


def test_what_is_no_text_is_one_error(write, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("binary", "missing"):
        with pytest.raises(CorpusError, match="cannot be read as a UTF-8 text"):
            read_text(tmp_path / name)


def test_labels_are_known_by_every_spelling_but_numbers():
    assert {label_of(word) for word in ("bonafide", "bona-fide", "Real", " genuine ", "HUMAN")} == {
        "bonafide"
    }
    assert {label_of(word) for word in ("spoof", "Fake", "synthetic")} == {"spoof"}
    for word in ("0", "1", "", "bona_fide"):
        with pytest.raises(ValueError, match="unknown label"):
            label_of(word)


def test_a_corpus_is_found_one_folder_down(plant):
    root = plant("outer/corpus/wavs/a.wav")
    assert find_folder(root / "outer" / "corpus", "wavs", "toy") == root / "outer" / "corpus"
    assert find_folder(root / "outer", "wavs", "toy") == root / "outer" / "corpus"
    with pytest.raises(CorpusError, match="holds no wavs, nor does a folder in it; give .* toy:FOLDER"):
        find_folder(root, "wavs", "toy")


# --- what is wrong with real corpora, all at once -----------------------------------------------------------------


@pytest.fixture
def spoilt(tmp_path, encode, speechlike):
    """A table with a byte order mark, semicolons, an odd label, a missing file, a duplicate, and a FLAC cut short."""
    whole = encode("flac", speechlike(1.0))
    rows = ["path;label;speaker"]
    for number in range(40):
        name = f"{number}.flac"
        if number != 7:
            (tmp_path / name).write_bytes(whole[: len(whole) // 2] if number == 9 else whole)
        label = {11: "fakke"}.get(number, "fake" if number % 2 else "Bona-Fide")
        rows.append(f"{name};{label};p{number % 5}")
    rows.append("3.flac;fake;p3")
    rows.append("one cell")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(rows), encoding="utf-8-sig")
    return path


def test_each_bad_row_is_told_with_file_and_line_and_counted(spoilt, told, monkeypatch):
    monkeypatch.setattr("ringtrue.data.corpora.rows.MOST_BAD", 0.2)
    trials = load_corpus(f"{spoilt}?verify=yes", told)
    assert {t.label for t in trials} == {"bonafide", "spoof"}
    for line, reason in (
        (9, "no recording at"), (11, "9.flac"), (13, "unknown label 'fakke'"), (42, "duplicate of '3.flac'"),
        (43, "1 cells where the header has 3"),
    ):  # fmt: skip
        (found,) = [text for text in told if f"table.csv, line {line}: " in text]
        assert reason in found
    assert told.about("table: 5 of 42 rows are bad and left out")


def test_a_cut_flac_passes_until_it_is_asked_for(spoilt, told, monkeypatch):
    monkeypatch.setattr("ringtrue.data.corpora.rows.MOST_BAD", 0.2)
    load_corpus(spoilt, told)
    assert told.about("table: 4 of 42 rows are bad and left out")
    assert not told.about("9.flac")


def test_past_the_stated_share_it_stops(spoilt, told):
    with pytest.raises(
        CorpusError, match=r"4 of 42 rows are bad, more than 1%; the first: .*table\.csv, line"
    ):
        load_corpus(spoilt, told)


def test_a_foreign_tsv_is_a_table_and_ours_a_manifest(spoilt, told, tmp_path, monkeypatch):
    monkeypatch.setattr("ringtrue.data.corpora.rows.MOST_BAD", 0.2)
    foreign = tmp_path / "foreign.tsv"
    foreign.write_text(spoilt.read_text(encoding="utf-8-sig").replace(";", "\t"))
    trials = load_corpus(foreign, told)
    assert told.about("foreign.tsv, line 9: no recording at")
    write_manifest(tmp_path / "ours.tsv", trials)
    assert load_corpus(tmp_path / "ours.tsv") == trials
