"""ASVspoof 2019 LA, 2021 LA and DF, and 5: replicas with official rows, and the official protocols themselves."""

from collections import Counter
from pathlib import Path

import pytest

from ringtrue.data.corpora import asvspoof5, asvspoof2019, load_corpus, load_samples
from ringtrue.data.corpora.rows import Reading
from ringtrue.errors import CorpusError

OFFICIAL = Path(__file__).parents[4] / "shared" / "conformance" / "asvspoof2019_la"

LA19 = {
    "train.trn": "LA_0079 LA_T_1138215 - - bonafide\nLA_0079 LA_T_1004644 - A01 spoof\n",
    "dev.trl": "LA_0069 LA_D_1047731 - - bonafide\nLA_0070 LA_D_1000265 - A06 spoof\n",
    "eval.trl": "LA_0039 LA_E_2834763 - A11 spoof\nLA_0014 LA_E_1000147 - - bonafide\n",
}


@pytest.fixture
def la19(plant, write):
    for name, text in LA19.items():
        write(f"LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{name}.txt", text)
        folder = f"LA/ASVspoof2019_LA_{name.partition('.')[0]}/flac"
        root = plant(*(f"{folder}/{row.split()[1]}.flac" for row in text.splitlines()))
    return root


@pytest.mark.parametrize("top", ["", "LA"])
def test_2019_la(la19, told, by_id, top):
    trials = load_corpus(f"asvspoof2019-la:{la19 / top}", told)
    assert Counter((t.split, t.label) for t in trials) == {
        (split, label): 1 for split in ("train", "dev", "test") for label in ("bonafide", "spoof")
    }
    one = by_id(trials)["LA_E_2834763"]
    assert (one.speaker, one.system, one.split, one.language) == ("LA_0039", "A11", "test", "en")
    assert (one.acoustic_model, one.vocoder) == ("ar_rnn_cnn", "griffin_lim")  # from the label table
    assert by_id(trials)["LA_E_1000147"].system == ""
    assert len(load_samples(one)) == 3_200
    assert len(told.about("are published: a part of the corpus")) == 6


def test_2019_la_in_part(la19, told):
    for folder in ("train", "dev"):
        (la19 / f"LA/ASVspoof2019_LA_{folder}/flac").rename(la19 / folder)
    trials = load_corpus(f"asvspoof2019-la:{la19}", told)
    assert {t.split for t in trials} == {"test"}
    assert len(told.about("that set is left out")) == 2
    (la19 / "LA/ASVspoof2019_LA_eval/flac").rename(la19 / "eval")
    with pytest.raises(CorpusError, match="has the protocols of asvspoof2019-la and none of its"):
        load_corpus(f"asvspoof2019-la:{la19}", told)
    with pytest.raises(CorpusError, match="holds no ASVspoof2019_LA_cm_protocols"):
        load_corpus(f"asvspoof2019-la:{la19 / 'dev'}", told)


def test_2019_la_with_bad_rows(la19, told, plant, write):
    """An unknown label, a missing column, a missing file and a duplicate among 596 good rows."""
    rows = [f"LA_0079 LA_T_{n:07} - A0{n % 6 + 1} spoof" for n in range(596)]
    bad = ["LA_0079 LA_T_x - - genuin", "LA_0079 LA_T_y - spoof", "LA_0079 LA_T_gone - - bonafide", rows[0]]
    folder = "LA/ASVspoof2019_LA_train/flac"
    plant(*(f"{folder}/{row.split()[1]}.flac" for row in rows))
    name = "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt"
    write(name, "\n".join(rows + bad), "utf-8-sig")
    trials = load_corpus(f"asvspoof2019-la:{la19}", told)
    assert len([t for t in trials if t.split == "train"]) == 596
    assert [line.partition("txt, ")[2].partition(" at ")[0] for line in told.about("train.trn")] == [
        "line 597: unknown label 'genuin'; accepted: bonafide, bona-fide, bona fide, real, genuine, human, spoof, "
        "fake, spoofed, synthetic, deepfake",
        "line 598: 4 columns parted by spaces; accepted: 5",
        "line 599: no recording",
        "line 600: duplicate of 'LA_T_0000000'",
    ]
    assert told.about("4 of 604 rows are bad and left out")


@pytest.mark.skipif(
    not OFFICIAL.is_dir(), reason="the official protocols are not here (../shared/conformance)"
)
def test_the_official_2019_protocols_have_the_published_counts(told):
    reading = Reading("asvspoof2019-la", told, check_audio=False)
    for split, (name, kind) in asvspoof2019.SETS.items():
        protocol = OFFICIAL / f"ASVspoof2019.LA.cm.{name}.{kind}.txt"
        asvspoof2019.read_protocol(protocol, Path("flac"), split, reading)
    trials = reading.finish(asvspoof2019.PUBLISHED)
    assert told == []
    assert Counter(t.split for t in trials) == {"train": 25_380, "dev": 24_844, "test": 71_237}
    attacks = Counter((t.split, t.system) for t in trials if t.system)
    assert attacks == {
        **{("train", f"A{n:02}"): 3_800 for n in range(1, 7)},
        **{("dev", f"A{n:02}"): 3_716 for n in range(1, 7)},
        **{("test", f"A{n:02}"): 4_914 for n in range(7, 20)},
    }
    speakers = {split: {t.speaker for t in trials if t.split == split} for split in asvspoof2019.SETS}
    assert {split: len(names) for split, names in speakers.items()} == {"train": 20, "dev": 20, "test": 67}
    assert not speakers["train"] & speakers["test"]


def test_2021_la(plant, write, told, by_id):
    write(
        "keys/LA/CM/trial_metadata.txt",
        "LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval\n"
        "LA_0020 LA_E_6866159 none - bonafide bonafide notrim progress\n"
        "LA_0020 LA_E_5464494 g722 loc_tx bonafide bonafide only_speech hidden\n",
    )
    names = ("LA_E_9332881", "LA_E_6866159", "LA_E_5464494")
    root = plant(*(f"ASVspoof2021_LA_eval/flac/{name}.flac" for name in names))
    trials = by_id(load_corpus(f"asvspoof2021-la:{root}", told))
    assert [(trials[n].split, trials[n].codec, trials[n].system, trials[n].label) for n in names] == [
        ("test", "alaw", "A07", "spoof"), ("", "", "", "bonafide"), ("", "g722", "", "bonafide"),
    ]  # fmt: skip
    assert trials[names[0]].vocoder == "world"
    assert told.about("3 rows of 'all' where 181,566 are published")
    with pytest.raises(CorpusError, match="needs keys/DF/CM/trial_metadata.txt"):
        load_corpus(f"asvspoof2021-df:{root}", told)


def test_2021_df_in_its_parts(plant, write, told, by_id):
    write(
        "DF-keys-full/keys/DF/CM/trial_metadata.txt",
        "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -\n"
        "TEF2 DF_E_2000013 low_m4a vcc2020 Task1-team20 spoof notrim eval neural_vocoder_nonautoregressive "
        "Task1 team20 FF E\n"
        "VCC2SF3 DF_E_2000024 mp3m4a vcc2018 SPO-N16 spoof notrim eval unknown SPO N16 FF E\n"
        "LA_0043 DF_E_2000026 mp3m4a asvspoof bonafide bonafide notrim eval bonafide - - - -\n",
    )
    root = plant(
        "ASVspoof2021_DF_eval_part00/ASVspoof2021_DF_eval/flac/DF_E_2000011.flac",
        "ASVspoof2021_DF_eval_part01/ASVspoof2021_DF_eval/flac/DF_E_2000013.flac",
        "ASVspoof2021_DF_eval_part03/ASVspoof2021_DF_eval/flac/DF_E_2000024.flac",
        "ASVspoof2021_DF_eval_part03/ASVspoof2021_DF_eval/flac/DF_E_2000026.flac",
    )
    trials = by_id(load_corpus(f"asvspoof2021-df:{root}", told))
    assert [(t.system, t.vocoder, t.codec, t.split) for t in trials.values()] == [
        ("A14", "straight", "", ""),
        ("vcc2020-Task1-team20", "neural_vocoder_nonautoregressive", "low_m4a", "test"),
        ("vcc2018-SPO-N16", "", "mp3m4a", "test"),
        ("", "", "mp3m4a", "test"),
    ]
    assert all(Path(trial.audio).is_file() for trial in trials.values())
    assert told.about("UNKNOWN SYSTEMS: 1 systems with 1 clips")


TEN = {
    "ASVspoof5.train.tsv": ("flac_T", [
        "T_0001 T_0000000000 F - - - AC3 A05 spoof -", "T_0002 T_0000000001 M - - - - bonafide bonafide -",
    ]),
    "ASVspoof5.dev.track_1.tsv": ("flac_D", ["D_0062 D_0000000001 F - - - AC1 A11 spoof -"]),
    "ASVspoof5.eval.track_1.tsv": ("flac_E_eval", [
        "E_0001 E_0000000001 F C05 2 E_0009999999 AC1 A20 spoof -", "E_0001 E_0009999999 F - - - AC1 A20 spoof -",
    ]),
}  # fmt: skip


def test_5_with_ten_columns(plant, write, told, by_id):
    for name, (folder, rows) in TEN.items():
        write(f"ASVspoof5_protocols/{name}", "\n".join(rows))
        root = plant(*(f"{folder}/{row.split()[1]}.flac" for row in rows))
    trials = by_id(load_corpus(f"asvspoof5:{root}", told))
    assert [t.split for t in trials.values()] == ["train", "train", "dev", "test", "test"]
    assert trials["T_0000000000"].system == "asvspoof5-A05"  # no namesake of ASVspoof 2019's A05
    assert trials["T_0000000000"].vocoder == ""
    coded = trials["E_0000000001"]
    assert (coded.codec, coded.source_utterance) == ("C05", "E_0009999999")
    assert trials["E_0009999999"].source_utterance == "E_0009999999"
    assert told.about("2 rows of 'train' where 182,357 are published")


def test_5_with_six_columns(plant, write, told, by_id):
    write(
        "ASVspoof5.train.metadata.txt",
        "T_4850 T_0000000000 F - A05 spoof\nT_3734 T_0000000011 F - bonafide bonafide\n",
    )
    root = plant("flac_T/flac_T/T_0000000000.flac", "flac_T/flac_T/T_0000000011.flac")
    trials = by_id(load_corpus(f"asvspoof5:{root}", told))
    assert trials["T_0000000000"].system == "asvspoof5-A05"
    assert trials["T_0000000011"].label == "bonafide"
    assert len(told.about("that set is left out")) == 2
    with pytest.raises(CorpusError, match="needs one of flac_T, flac_D, flac_E_eval"):
        asvspoof5.read(root / "flac_T", told)
