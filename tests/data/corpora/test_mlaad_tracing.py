"""The MLAAD source-tracing protocol: the official one's counts and defects, and a replica that has them all."""

import csv
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from ringtrue.data.corpora import load_corpus, mlaad_tracing
from ringtrue.data.corpora.mlaad_tracing import FINE, PUBLISHED, read_protocol
from ringtrue.errors import CorpusError

CONFORMANCE = Path(__file__).parents[4] / "shared" / "conformance" / "mlaad_source_tracing"
official = pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="the protocol is not here (../shared/conformance)"
)


@pytest.fixture(scope="module")
def protocol():
    return read_protocol(CONFORMANCE / "mlaad4sourcetracing.zip")


@official
def test_the_official_rows_and_models(protocol):
    assert {part: len(rows) for part, rows in protocol.parts.items()} == PUBLISHED
    assert {part: len(protocol.unique(part)) for part in PUBLISHED} == {
        "train": 11_100, "dev": 12_000, "eval": 33_791,
    }  # fmt: skip
    models = {part: {row.model for row in rows} for part, rows in protocol.parts.items()}
    assert {part: len(names) for part, names in models.items()} == {"train": 24, "dev": 25, "eval": 64}
    languages = {part: len({row.language for row in rows}) for part, rows in protocol.parts.items()}
    assert languages == {"train": 8, "dev": 21, "eval": 37}
    assert len(set().union(*models.values())) == 82


@official
@pytest.mark.parametrize(
    ("part", "rows", "unique", "models"),
    [
        ("dev", (4_800, 7_200), (4_800, 7_200), (8, 17)),
        ("eval", (13_591, 20_309), (13_482, 20_309), (21, 43)),  # all 109 duplicates are of known models
    ],
)
def test_the_official_in_and_out_of_domain(protocol, part, rows, unique, models):
    def sides(rows):
        known = [row.model for row in rows if row.model in protocol.known]
        return known, [row.model for row in rows if row.model not in protocol.known]

    assert tuple(map(len, sides(protocol.parts[part]))) == rows
    assert tuple(map(len, sides(protocol.unique(part)))) == unique
    assert tuple(len(set(side)) for side in sides(protocol.parts[part])) == models


@official
def test_the_official_duplicates_by_model(protocol):
    extra = Counter(row.model for row in protocol.parts["eval"])
    extra.subtract(row.model for row in protocol.unique("eval"))
    assert +extra == {"suno/bark-small": 55, "tts_models/en/ljspeech/tacotron2-DDC_ph": 54}


@official
def test_the_official_fine_files(protocol):
    assert {name: len(rows) for name, rows in protocol.fine.items()} == dict(
        zip(FINE, (3_000, 2_700, 1_800, 4_500, 8_700, 7_500, 4_800, 12_900), strict=True)
    )


@official
def test_the_four_known_defects_are_reported(protocol):
    assert protocol.defects() == [
        "eval.csv repeats 109 rows; each is used once",
        "fine/eval___lang_seen___model_not_seen.csv holds 91 rows whose models belong elsewhere by the training "
        "list (tts_models/en/ljspeech/vits--neon 91); membership decides here",
        "1,539 of eval's 30,050 file names occur in train too: the same texts spoken by other systems",
        "the language folder 'sw' of facebook/mms-tts-swe holds 'sv'",
    ]


@official
def test_the_official_counts_by_model(protocol):
    with open(CONFORMANCE / "model_by_split.csv", newline="", encoding="utf-8") as file:
        table = {
            row.pop("model_name"): {part: int(n) for part, n in row.items()} for row in csv.DictReader(file)
        }
    counted = {part: Counter(row.model for row in rows) for part, rows in protocol.parts.items()}
    assert {model: {part: counted[part][model] for part in PUBLISHED} for model in table} == table


# --- a replica -----------------------------------------------------------------------------------------------


def path(language, model, name):
    return f"./fake/{language}/{model.replace('/', '_')}/{name}.wav,{model}"


ROWS = {
    "train": [path("en", "suno/bark", "a"), path("en", "vixTTS", "b"), path("de", "vixTTS", "c")],
    "dev": [path("en", "suno/bark", "d"), path("en", "e2-tts", "d")],
    "eval": [
        path("en", "suno/bark", "a2"), path("en", "suno/bark", "a2"), path("fr", "vixTTS", "b"),
        path("sw", "facebook/mms-tts-swe", "e"), path("en", "vixTTS", "f"),
    ],
}  # fmt: skip
MISFILED = {"eval___lang_seen___model_not_seen": [path("en", "vixTTS", "f")]}


@pytest.fixture
def replica(plant, tmp_path):
    rows = [row.partition(",")[0].removeprefix("./") for part in ROWS.values() for row in part]
    plant(*rows)
    with zipfile.ZipFile(tmp_path / "mlaad4sourcetracing.zip", "w") as archive:
        for name, lines in {**ROWS, **{f"fine/{name}": MISFILED.get(name, []) for name in FINE}}.items():
            archive.writestr(f"{name}.csv", "\n".join(["path,model_name", *lines, ""]))
    return tmp_path


def test_trials_of_a_replica(replica, told, by_id):
    trials = by_id(load_corpus(f"mlaad-tracing:{replica}", told))
    assert [(t.split, t.system) for t in trials.values()] == [
        ("train", "suno/bark"), ("train", "vixTTS"), ("train", "vixTTS"), ("dev", "suno/bark"), ("dev", "e2-tts"),
        ("test_seen", "suno/bark"), ("test_seen", "vixTTS"), ("test", "facebook/mms-tts-swe"), ("test_seen", "vixTTS"),
    ]  # fmt: skip
    assert (
        trials["fake/en/e2-tts/d.wav"].source_utterance == trials["fake/en/suno_bark/d.wav"].source_utterance
    )
    assert trials["fake/en/e2-tts/d.wav"].vocoder == "bigvgan"
    for defect in (
        "eval.csv repeats 1 rows", "holds 1 rows whose models belong elsewhere", "1 of eval's 4 file names occur",
        "'sw' of facebook/mms-tts-swe", "train.csv has 3 rows where 11,100 are published",
    ):  # fmt: skip
        assert len(told.about(defect)) == 1


@pytest.mark.parametrize(
    ("cell", "kept"),
    [
        (
            "lang_seen___model_seen",
            {"fake/en/suno_bark/d.wav", "fake/en/suno_bark/a2.wav", "fake/en/vixTTS/f.wav"},
        ),
        ("lang_seen___model_not_seen", {"fake/en/e2-tts/d.wav"}),
        ("lang_not_seen___model_seen", {"fake/fr/vixTTS/b.wav"}),
        ("lang_not_seen___model_not_seen", {"fake/sw/facebook_mms-tts-swe/e.wav"}),
    ],
)
def test_a_fine_cell_by_membership(replica, told, cell, kept):
    trials = load_corpus(f"mlaad-tracing:{replica}?fine={cell}", told)
    assert {trial.id for trial in trials if trial.split != "train"} == kept
    assert len(trials) == 3 + len(kept)


def test_each_bad_row_of_the_protocol_is_told_and_the_rest_is_read(replica, told, monkeypatch):
    folder = replica / "mlaad4sourcetracing"
    with zipfile.ZipFile(replica / "mlaad4sourcetracing.zip") as archive:
        archive.extractall(folder)
    rows = [
        "path,model_name",
        *ROWS["dev"],
        "./fake/en/x.wav,y",
        "one cell",
        "./fake/en/vixTTS/gone.wav,vixTTS",
    ]
    (folder / "dev.csv").write_text("\n".join(rows))
    with pytest.raises(
        CorpusError, match=r"3 of 12 rows are bad, more than 1%; the first: .*dev.csv, line 4: "
    ):
        load_corpus(f"mlaad-tracing:{replica}", told)
    monkeypatch.setattr("ringtrue.data.corpora.rows.MOST_BAD", 0.3)
    told.clear()
    assert len(load_corpus(f"mlaad-tracing:{replica}", told)) == 9
    for line, reason in (
        (4, "accepted: ./fake/<language>"),
        (5, "['one cell']; accepted"),
        (6, "no recording at"),
    ):
        assert reason in told.about(f"{folder / 'dev.csv'}, line {line}: ")[0]
    assert told.about("3 of 12 rows are bad and left out")


def test_what_is_missing_is_said(replica, told, tmp_path):
    with pytest.raises(CorpusError, match="no cell 'lang'; accepted: lang_not_seen___model_not_seen"):
        load_corpus(f"mlaad-tracing:{replica}?fine=lang", told)
    with pytest.raises(CorpusError, match="no protocol at elsewhere.zip; it is https://deepfake-total.com"):
        load_corpus(f"mlaad-tracing:{replica}?protocol=elsewhere.zip", told)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(replica / "mlaad4sourcetracing.zip") as archive:
        archive.extractall(folder)
    assert len(load_corpus(f"mlaad-tracing:{replica}?protocol={folder}", told)) == 9
    (folder / "dev.csv").write_text("model,path\n")
    with pytest.raises(CorpusError, match=r"dev.csv, line 1: the header must be path,model_name"):
        load_corpus(f"mlaad-tracing:{replica}?protocol={folder}", told)
    (folder / "dev.csv").unlink()
    with pytest.raises(CorpusError, match=r"dev.csv cannot be read"):
        load_corpus(f"mlaad-tracing:{replica}?protocol={folder}", told)


def test_a_protocol_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(mlaad_tracing, "_LARGEST_TABLE", 1_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", bytes(2_000))
    with pytest.raises(CorpusError, match="it would unpack to 2000 bytes"):
        mlaad_tracing._rows(tmp_path / "bomb.zip", "train.csv", [])
