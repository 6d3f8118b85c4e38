"""The label table: whole, sourced, and compared with what others publish; every disagreement stands here."""

import csv
import itertools
import re
from pathlib import Path

import pytest

from ringtrue.data.labels import INPUT_TYPES, REVIEWS, complete, key, labels_of, table
from ringtrue.data.trials import Trial

SHARED = Path(__file__).parents[3] / "shared"
CONFORMANCE = SHARED / "conformance" / "mlaad_source_tracing"
FACTS = SHARED / "design" / "FACTS.md"
official = pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="others' tables are not here (../shared/conformance)"
)

known = pytest.mark.skipif(not FACTS.is_file(), reason="the facts are not here (../shared/design/FACTS.md)")

ATTACKS = [f"A{number:02}" for number in range(1, 20)]


def rows(name):
    with open(CONFORMANCE / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_is_whole():
    for row in table().values():
        assert row.source, row.system
        assert row.review in REVIEWS, row.system
        assert row.vocoder or row.review != "recalled" or row.acoustic_model, row.system
        assert row.input_type in INPUT_TYPES, row.system
        assert row.end_to_end is not None or not row.vocoder, row.system
        for value in (row.acoustic_model, row.vocoder):
            assert value == value.lower().strip(), row.system
            assert " " not in value, row.system


def test_asvspoof_2019_has_the_published_classes():
    """Nine acoustic models and eleven waveform generators; two attacks come back in eval under other names."""
    assert len({labels_of(attack).acoustic_model for attack in ATTACKS}) == 9
    assert len({labels_of(attack).vocoder for attack in ATTACKS}) == 11
    inputs = {kind: [a for a in ATTACKS if labels_of(a).input_type == kind] for kind in INPUT_TYPES}
    assert inputs["speech"] == ["A05", "A06", "A17", "A18", "A19"]
    assert inputs["tts_speech"] == ["A13", "A14", "A15"]
    for one, other in (("A04", "A16"), ("A06", "A19")):
        assert labels_of(one).acoustic_model == labels_of(other).acoustic_model
        assert labels_of(one).vocoder == labels_of(other).vocoder


def test_names_and_folders_are_one_system():
    assert labels_of("tts_models/en/ljspeech/vits--neon") is labels_of("tts_models_en_ljspeech_vits--neon")
    assert labels_of("Resemble.ai (April 12th, 2025)").vocoder == ""
    assert labels_of("no such system") is None


def test_an_end_to_end_decoder_is_no_vocoder_of_its_own():
    assert labels_of("tts_models/en/ljspeech/vits").vocoder_class == "vits"
    assert labels_of("tts_models/en/ljspeech/overflow").vocoder_class == "hifigan"


def test_what_a_corpus_says_itself_is_kept_and_the_rest_is_filled_in():
    told = []
    trials = [
        Trial("a", "", "spoof", system="A03"),
        Trial("b", "", "spoof", system="A03", vocoder="mine"),
        Trial("c", "", "spoof", system="mine", acoustic_model="x"),
        Trial("d", "", "spoof", system="new one"),
        Trial("e", "", "spoof", system="new one"),
        Trial("f", "", "spoof", system="Edge-TTS"),
        Trial("g", "", "bonafide"),
    ]
    filled = complete(trials, told.append)
    assert [(t.acoustic_model, t.vocoder) for t in filled] == [
        ("ff", "world"), ("ff", "mine"), ("x", ""), ("", ""), ("", ""), ("", ""), ("", ""),
    ]  # fmt: skip
    assert told == [
        "UNKNOWN SYSTEMS: 1 systems with 2 clips are not in the label table (new one); "
        "their acoustic model and vocoder stay unknown"
    ]
    assert [t.id for t in filled] == [t.id for t in trials]


# --- against others' tables, and what is known of them ------------------------------------------------------------


@official
def test_all_82_systems_of_the_protocol_are_labelled():
    names = [row["model_name"] for row in rows("model_by_split.csv")]
    assert len(names) == 82
    for name in names:
        labels = labels_of(name)
        assert labels is not None and labels.acoustic_model and labels.vocoder, name


@official
def test_every_system_of_mlaad_10_has_a_row():
    assert [
        row["raw_dir"] for row in rows("mlaad_v10_dir_to_system.csv") if labels_of(row["raw_dir"]) is None
    ] == []


FAMILIES = {  # spoof-SUPERB's vocoder families: ours
    "HiFi-GAN": "hifigan", "EnCodec": "encodec", "Vocos": "vocos", "BigVGAN": "bigvgan", "WaveNeXt": "wavenext",
    "DAC": "dac", "UnivNet": "univnet", "WaveNet": "wavenet", "WaveGlow": "waveglow", "MelGAN": "melgan",
    "Griffin-Lim": "griffin_lim", "Mimi": "mimi", "SNAC": "snac", "NeuCodec": "neucodec", "BiCodec": "bicodec",
    "NanoCodec": "nanocodec", "HiFTNet": "hiftnet", "Firefly-GAN": "firefly_gan", "iSTFTNet": "istftnet",
    "X-Codec2": "xcodec2", "WavTokenizer": "wavtokenizer", "VibeVoice tokenizer": "vibevoice_tokenizer",
    "Higgs-Audio tokenizer": "higgs_audio_tokenizer", "MOSS-Audio-Tokenizer": "moss_audio_tokenizer",
    "NSF-HiFiGAN": "nsf_hifigan", "Code2Wav": "qwen3_tts_tokenizer", "VAE decoder": "flow_vae",
}  # fmt: skip

CONFLICTS = {  # (spoof-SUPERB's system, its vocoder family, ours)
    ("Capacitron", "WaveNet", "hifigan"),
    ("FastPitch", "WaveGlow", "hifigan"),
    ("FishTTS", "Firefly-GAN", "dac"),
    ("GLM-TTS", "Vocos", "hiftnet"),
    ("GlowTTS", "WaveGlow", "griffin_lim"),
    ("GlowTTS", "WaveGlow", "hifigan"),
    ("GlowTTS", "WaveGlow", "multiband_melgan"),
    ("LFM2.5-Audio", "Mimi", "lfm_detokenizer"),
    ("LongCat-AudioDiT", "VAE decoder", "wav_vae"),
    ("MegaTTS3", "HiFi-GAN", "wavvae"),
    ("Nari-Dia", "DAC", "mimi"),
    ("NeuralHMM", "WaveGlow", "hifigan"),
    ("OpenAudio-S1-Mini", "Firefly-GAN", "dac"),
    ("SpeedySpeech", "MelGAN", "hifigan"),
    ("Supertonic", "Vocos", "supertonic_autoencoder"),
    ("TADA", "VAE decoder", "tada_codec"),
    ("Tacotron", "Griffin-Lim", "hifigan"),
    ("Tacotron2", "WaveNet", "fullband_melgan"),
    ("Tacotron2", "WaveNet", "griffin_lim"),
    ("Tacotron2", "WaveNet", "hifigan"),
    ("Tacotron2", "WaveNet", "multiband_melgan"),
    ("Tacotron2", "WaveNet", "univnet"),
    ("Tacotron2", "WaveNet", "wavegrad"),
    ("VoxCPM", "DAC", "audiovae"),
    ("XTTS", "HiFi-GAN", "univnet"),
}


@official
def test_every_disagreement_about_vocoders_is_known_and_marked():
    families = {
        row["tts_system"]: row["vocoder_family"] for row in rows("mlaad_v10_tts_architecture_groups.csv")
    }
    found = set()
    compared = 0
    for row in rows("mlaad_v10_dir_to_system.csv"):
        labels, family = labels_of(row["raw_dir"]), families.get(row["canonical_system"], "unknown")
        if family in ("unknown", "-") or not labels.vocoder:
            continue
        compared += 1
        if FAMILIES[family] != labels.vocoder:
            found.add((row["canonical_system"], family, labels.vocoder))
            assert labels.conflict, f"{labels.system} disagrees with {family} and says nothing of it"
    assert found == CONFLICTS
    assert compared > 130


@official
def test_speedy_speech_is_ours_by_the_released_checkpoint():
    labels = labels_of("tts_models/en/ljspeech/speedy-speech")
    assert labels.vocoder == "hifigan"
    assert "VIB" in labels.conflict
    assert key("tts_models/en/ljspeech/speedy-speech") in {
        row["raw_dir"] for row in rows("mlaad_v10_dir_to_system.csv")
    }


def facts(first_column):
    """The rows of the table in FACTS.md whose first column is called so."""
    lines = FACTS.read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    header, *rows = (
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    )
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


@known
def test_all_82_rows_of_mlaad_5_are_as_known_or_say_why_not():
    """B.3: VIB's labels and the released checkpoints' vocoders, cell by cell."""
    spelled = {"fullband-melgan": "fullband_melgan", "multi-melgan": "multiband_melgan"}
    otherwise = set()
    rows = facts("model_name")
    assert len(rows) == 82
    for row in rows:
        labels = labels_of(row["model_name"])
        vocoder = row["vocoder (VIB)"]
        theirs = row["acoustic (VIB)"].lower(), spelled.get(vocoder, vocoder), row["e2e"]
        flag = {True: "T", False: "F", None: ""}[labels.end_to_end]
        if (labels.acoustic_model, labels.vocoder, flag) != theirs:
            assert "VIB" in labels.conflict, labels.system
            otherwise.add(labels.system)
        released = row["coqui default_vocoder"]
        if released not in ("-", "null"):
            assert labels.vocoder.replace("_", "") in released.replace("-", ""), labels.system
            assert "coqui-ai/TTS" in labels.source, labels.system
        if released == "null" and theirs[2] == "":  # then the synthesiser falls back on it
            assert (labels.vocoder, labels.review) == ("griffin_lim", "checked")
    assert otherwise == {
        "griffin_lim", "tts_models/en/ljspeech/speedy-speech", "tts_models/fa/custom/glow-tts",
        "tts_models/it/mai_female/glow-tts", "tts_models/it/mai_male/glow-tts",
        "tts_models/zh-CN/baker/tacotron2-DDC-GST",
    }  # fmt: skip


@known
def test_all_19_attacks_are_as_known():
    """B.1.1, cell by cell; a dagger there is a value that only memory and one table vouch for."""
    spelled = {
        "gmm-ubm": "gmm_ubm",
        "ar rnn + cnn": "ar_rnn_cnn",
        "spectral filtering + ola": "spectral_filtering_ola",
    }
    inputs = {"text": "text", "speech (human)": "speech", "speech (tts)": "tts_speech"}
    rows = facts("ID")
    assert [row["ID"] for row in rows] == ATTACKS
    for row in rows:
        labels = labels_of(row["ID"])
        acoustic, vocoder, fed = (
            re.sub("[*†]", "", row[name]).lower()
            for name in ("Conversion (= acoustic model)", "Waveform generator (= vocoder)", "Input")
        )
        named = [spelled.get(word, word.replace(" ", "_").replace("-", "_")) for word in (acoustic, vocoder)]
        assert [labels.acoustic_model, labels.vocoder] == named, labels.system
        assert labels.input_type == inputs[fed], labels.system
        daggers = "†" in row["Conversion (= acoustic model)"] + row["Waveform generator (= vocoder)"]
        assert labels.review == ("recalled" if daggers else "checked"), labels.system
        assert ("README.LA.txt" in labels.source) == daggers, labels.system
        assert "1911.01601" in labels.source
