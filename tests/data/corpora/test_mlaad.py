"""MLAAD in every layout of versions 1 to 9, its human originals in M-AILABS, and both split together."""

import csv

import pytest

from ringtrue.data.corpora import load_corpus, load_samples, prepare_corpus
from ringtrue.data.trials import check_disjoint
from ringtrue.errors import CorpusError

NINE = "path|original_file|language|is_original_language|duration|training_data|model_name|architecture|transcript"
ODD = ("Resemble.ai (April 12th, 2025)", "Hume TADA-3B-ML", "OpenAI TTS-1 HD")


def original(number, locale="en_US", reader="female/mary_ann"):
    return f"{locale}/by_book/{reader}/northandsouth/wavs/northandsouth_{number:02}_f000086.wav"


@pytest.fixture
def mlaad(plant, write):
    """Five folders: nine columns, ten columns with an odd name, three columns only, no table, bare file names."""

    def folder(path, header, rows, **write_options):
        names = [row.split("|")[0].rpartition("/")[2] for row in rows]
        plant(*(f"{path}/{name}" for name in names))
        write(f"{path}/meta.csv", "\n".join([header, *rows]) + "\n", **write_options)

    coqui = "fake/en/tts_models_en_ljspeech_vits--neon"
    folder(
        coqui, NINE,
        [
            f"./{coqui}/northandsouth_00_f000086.wav|{original(0)}|en|True|2.345|ljspeech|"
            'tts_models/en/ljspeech/vits--neon|vits--neon|He said: "No',
            f"./{coqui}/northandsouth_01_f000086.wav|./{original(1)}|en|True|0.9|ljspeech|"
            'tts_models/en/ljspeech/vits--neon|vits--neon|way", and left, twice; or more.',
        ],
    )  # fmt: skip
    odd = f"fake/de/{ODD[0]}"
    folder(
        odd, f"{NINE}|reference_speaker",
        [f"./{odd}/northandsouth_00_f000086.wav|{original(0)}|de|True|1.5|unknown|{ODD[0]}|Resemble|Ja.|alice.wav"],
        encoding="utf-8-sig",
    )  # fmt: skip
    folder(
        f"fake/de/{ODD[1]}", "path|original_file|language", [f"northandsouth_02_f000086.wav|{original(2)}|de"]
    )
    return plant(f"fake/pl/{ODD[2]}/x.wav", f"fake/pl/{ODD[2]}/y.wav")


def read(root, told, rest=""):
    """The trials as the reader makes them, before so small a corpus is split."""
    from ringtrue.data.corpora.mlaad import read

    return read(root, told, rest)


def test_every_layout(mlaad, told, by_id):
    trials = by_id(read(mlaad, told))
    assert len(trials) == 6
    (line,) = told
    assert line == (
        f"mlaad: 4 model folders have not the 1,000 rows of each (fake/de/{ODD[1]} 1, fake/de/{ODD[0]} 1, "
        f"fake/en/tts_models_en_ljspeech_vits--neon 2, fake/pl/{ODD[2]} 2)"
    )
    neon = trials["fake/en/tts_models_en_ljspeech_vits--neon/northandsouth_00_f000086.wav"]
    assert (neon.system, neon.language, neon.label, neon.duration_s) == (
        "tts_models/en/ljspeech/vits--neon", "en", "spoof", 2.345,
    )  # fmt: skip
    assert neon.transcript == 'He said: "No'  # the next row was not swallowed by the open quote
    assert neon.source_utterance == original(0)
    assert trials[neon.id.replace("_00_", "_01_")].source_utterance == original(1)
    assert trials[f"fake/de/{ODD[0]}/northandsouth_00_f000086.wav"].system == ODD[0]
    assert trials[f"fake/de/{ODD[1]}/northandsouth_02_f000086.wav"].system == ODD[1]
    assert trials[f"fake/pl/{ODD[2]}/x.wav"].source_utterance == ""
    assert all(len(load_samples(trial)) == 3_200 for trial in trials.values())


def test_a_folder_with_the_published_number_is_no_news(plant, told, monkeypatch):
    monkeypatch.setattr("ringtrue.data.corpora.mlaad.CLIPS", 2)
    root = plant("fake/en/a/1.wav", "fake/en/a/2.wav")
    assert len(read(root, told)) == 2
    assert told == []


def test_languages_are_chosen_by_folder(mlaad, told):
    assert {trial.language for trial in read(mlaad, told, "pl,en")} == {"pl", "en"}
    with pytest.raises(CorpusError, match=r"lacks the languages \['fr'\]; there are: de, en, pl"):
        read(mlaad, told, "fr")


def test_a_spoilt_table_costs_its_rows_and_names_itself(mlaad, told, plant, write):
    plant(*(f"fake/fr/good/{n}.wav" for n in range(600)))
    table = write("fake/fr/bad/meta.csv", "path;original\na.wav;b\nc.wav;d\n")
    assert len(read(mlaad, told)) == 606
    assert told.about(f"{table}, line 1: the header 'path;original' gives no columns")[0].startswith(
        "mlaad: "
    )
    assert told.about("2 of 608 rows are bad and left out")
    write("fake/fr/bad/meta.csv", f"{NINE}\n" + "a|b|fr|True|long|t|m|a|w\n" * 40)
    with pytest.raises(CorpusError, match=r"40 of 646 rows are bad.*duration 'long' is not a number"):
        read(mlaad, told)


def test_prepare_writes_the_simpler_tables_of_the_seed(mlaad, told):
    assert prepare_corpus(f"mlaad:{mlaad}", told)
    assert told.about("simpler_meta.csv written in 4 model folders")

    def table(folder):
        with open(mlaad / folder / "simpler_meta.csv", newline="", encoding="utf-8") as file:
            return list(csv.reader(file))

    header = ["file_path", "model", "architecture"]
    odd = f"fake/de/{ODD[0]}"
    assert table(odd) == [header, [f"{odd}/northandsouth_00_f000086.wav", ODD[0], "Resemble"]]
    assert table(f"fake/de/{ODD[1]}")[1][1:] == [ODD[1], ""]  # its table has no such column
    assert [row[2] for row in table("fake/en/tts_models_en_ljspeech_vits--neon")[1:]] == ["vits--neon"] * 2
    assert all((mlaad / row[0]).is_file() for row in table(f"fake/pl/{ODD[2]}")[1:])


@pytest.fixture
def pair(plant, write):
    """Eight readers of four sentences, each spoken by ten systems; a reader of both, and a book without a reader."""
    rows = {}
    for reader in range(8):
        for sentence in range(4):
            source = original(sentence, reader=f"male/reader_{reader}").replace(
                "northandsouth", f"book{reader}"
            )
            plant(f"mailabs/{source}")
            rows.setdefault(source.rpartition("/wavs/")[0], []).append(
                f"{source.rpartition('/')[2].removesuffix('.wav')}|1 text|one text"
            )
            for system in range(10):
                name = f"fake/en/sys {system}/{source.rpartition('/')[2]}"
                plant(f"mlaad/{name}")
                table = f"mlaad/fake/en/sys {system}/meta.csv"
                rows.setdefault(table, ["path|original_file|language"]).append(f"./{name}|{source}|en")
    mix = "it_IT/by_book/mix/novelle_per_un_anno_05"
    plant(f"mailabs/{mix}/wavs/novelle_01.wav")
    rows[mix] = ["novelle_01|Ciao|Ciao"]
    for place, lines in rows.items():
        name = place if place.startswith("mlaad") else f"mailabs/{place}/metadata.csv"
        root = write(name, "\n".join(lines)).parents[0]
    return next(parent for parent in root.parents if (parent / "mlaad").is_dir())


def test_m_ailabs(pair, told, by_id):
    from ringtrue.data.corpora.m_ailabs import read

    trials = by_id(read(pair / "mailabs", told))
    assert len(trials) == 33
    one = trials[original(0, reader="male/reader_3").replace("northandsouth", "book3")]
    assert (one.label, one.speaker, one.language, one.transcript) == (
        "bonafide",
        "en_US/reader_3",
        "en",
        "one text",
    )
    assert trials["it_IT/by_book/mix/novelle_per_un_anno_05/wavs/novelle_01.wav"].speaker == ""
    paired = read(pair / "mailabs", told, paired=str(pair / "mlaad"))
    assert len(paired) == 32  # each original once, though ten systems speak it; and not the unspoken one
    assert told.about("32 originals of")


def test_pairs_are_split_together(pair, told):
    source = f"mlaad:{pair / 'mlaad'}+m-ailabs:{pair / 'mailabs'}?paired={pair / 'mlaad'}"
    trials = load_corpus(source, told)
    check_disjoint(trials)
    sides = {}
    for trial in trials:
        sides.setdefault(trial.source_utterance, set()).add(trial.split.removesuffix("_seen"))
    assert all(len(splits) == 1 for splits in sides.values())
    assert {trial.split for trial in trials} == {"train", "dev", "test_seen", "test"}
    readers = {
        split: {t.speaker for t in trials if t.split == split and t.is_bonafide}
        for split in ("train", "test")
    }
    assert readers["train"] and readers["test"]
    spoken = {
        split: {t.source_utterance.split("/")[3] for t in trials if t.split == split} for split in readers
    }
    assert not spoken["train"] & spoken["test"]  # no machine speaks a test reader's sentence in training
    assert all(trial.id.startswith(f"{trial.corpus}/") for trial in trials)
    assert [t.id for t in load_corpus(source, told)] == [t.id for t in trials]


def test_a_table_of_a_book_that_is_spoilt(pair, told, write):
    book = "mailabs/it_IT/by_book/mix/novelle_per_un_anno_05"
    write(f"{book}/metadata.csv", "novelle_01|a|b|c\n")
    with pytest.raises(CorpusError, match=r"metadata.csv, line 1: 4 cells parted by '\|'"):
        load_corpus(f"m-ailabs:{pair / 'mailabs'}", told)
    with pytest.raises(CorpusError, match="holds no <locale>/by_book"):
        load_corpus(f"m-ailabs:{pair / 'mlaad'}", told)
