"""In-the-Wild, WaveFake, Fake-or-Real, Codecfake, DFADD, any table, any folder: replicas with their odd names."""

from collections import Counter

import pytest

from ringtrue.data.corpora import load_corpus, load_samples, table, wavefake
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError


def test_in_the_wild(plant, write, told):
    names = [f"release_in_the_wild/{n}.wav" for n in range(4)]
    root = plant(*names)
    rows = [
        "0.wav,Alec Guinness,spoof", "1.wav,Alec Guinness,spoof", '2.wav,"King, Stephen",bona-fide',
        "3.wav,Barack Obama,bona-fide",
    ]  # fmt: skip
    write("release_in_the_wild/meta.csv", "\n".join(["file,speaker,label", *rows]))
    trials = load_corpus(f"in-the-wild:{root}", told)
    assert [(t.id, t.label, t.speaker) for t in trials] == [
        ("0.wav", "spoof", "Alec Guinness"),
        ("1.wav", "spoof", "Alec Guinness"),
        ("2.wav", "bonafide", "King, Stephen"),
        ("3.wav", "bonafide", "Barack Obama"),
    ]
    assert {t.split for t in trials} == {"test"}
    assert told.about("2 rows of 'test bonafide' where 19,963 are published")
    assert told.about("UNKNOWN SYSTEMS: 1 systems with 2 clips")


def test_in_the_wild_as_float_wav(tmp_path, sounds, write, told):
    """Its files are 32-bit float; as integers they would be silence."""
    for name in ("0.wav", "1.wav"):
        (tmp_path / name).write_bytes(sounds["wav_float"])
    write("meta.csv", "file,speaker,label\n0.wav,A,spoof\n1.wav,B,bona-fide\n")
    trials = load_corpus(f"in-the-wild:{tmp_path}", told)
    assert max(abs(load_samples(trials[0]))) > 0.05
    write("meta.csv", "file,speaker,label\n0.wav,A,0\n1.wav,B,bona-fide\n")
    with pytest.raises(CorpusError, match="meta.csv, line 2: unknown label '0'"):
        load_corpus(f"in-the-wild:{tmp_path}", told)
    write("meta.csv", "file;speaker;label\n0.wav;A;spoof\n")
    with pytest.raises(CorpusError, match="meta.csv, line 1: the header 'file;speaker;label'"):
        load_corpus(f"in-the-wild:{tmp_path}", told)


def test_wavefake(plant, told, by_id):
    root = plant(
        "generated_audio/ljspeech_melgan/LJ008-0217_gen.wav",
        "generated_audio/ljspeech_hifiGAN/LJ008-0217_generated.wav",
        "generated_audio/ljspeech_waveglow/LJ008-0217.wav",
        "generated_audio/jsut_parallel_wavegan/BASIC5000_0001_gen.wav",
        "generated_audio/common_voices_prompts_from_conformer_fastspeech2_pwg_ljspeech/gen_0.wav",
        "LJSpeech-1.1/wavs/LJ008-0217.wav",
    )
    trials = wavefake.read(root, told, ljspeech=str(root / "LJSpeech-1.1"))
    assert Counter(t.source_utterance for t in trials) == {
        "ljspeech/LJ008-0217": 4,
        "jsut/BASIC5000_0001": 1,
        "": 1,
    }
    assert Counter(t.language for t in trials) == {"en": 5, "ja": 1}
    one = by_id(trials)["generated_audio/ljspeech_hifiGAN/LJ008-0217_generated.wav"]
    assert (one.system, one.label) == ("ljspeech_hifiGAN", "spoof")
    assert [t.id for t in trials if t.is_bonafide] == ["ljspeech/LJ008-0217.wav"]


def test_fake_or_real_with_its_doubled_folder(plant, told):
    sets = ("training", "validation", "testing")
    root = plant(*(f"for-norm/for-norm/{s}/{kind}/file1.wav" for s in sets for kind in ("real", "fake")))
    trials = load_corpus(f"fake-or-real:{root / 'for-norm'}", told)
    assert [(t.split, t.label) for t in trials] == [
        (split, label) for split in ("train", "dev", "test") for label in ("bonafide", "spoof")
    ]
    with pytest.raises(CorpusError, match="holds no testing"):
        load_corpus(f"fake-or-real:{root / 'for-norm' / 'for-norm' / 'training'}", told)


def test_codecfake(plant, write, told, by_id):
    write("Codecfake/label/train.txt", "p276_290.wav real 0\nF01_p276_290.wav fake 1\nSSB00050001 real\n")
    write("Codecfake/label/C1.txt", "F01_p280_001.wav fake 1\n")
    write("Codecfake/label/A1.txt", "L1_audio_7.wav fake 0\n")
    write("Codecfake/label/C7.txt", "F07_p280_001.wav fake 1\n")
    root = plant(
        *(f"Codecfake/train/{name}.wav" for name in ("p276_290", "F01_p276_290", "SSB00050001")),
        "Codecfake/test/C1/F01_p280_001.wav",
        "Codecfake/test/A1/L1_audio_7.wav",
    )
    trials = by_id(load_corpus(f"codecfake:{root}", told))
    fake, real = trials["train/F01_p276_290"], trials["train/p276_290"]
    assert (fake.system, fake.acoustic_model, fake.speaker) == ("codecfake-F01", "none", "p276")
    assert fake.source_utterance == real.source_utterance == "p276_290"
    assert (trials["train/SSB00050001"].speaker, trials["train/SSB00050001"].language) == ("SSB0005", "zh")
    assert (trials["C1/F01_p280_001"].split, trials["A1/L1_audio_7"].split) == ("test", "test")
    assert told.about("3 rows of 'train' where 740,747 are published")
    assert told.about("1 rows of 'C1' where 26,456 are published")
    assert told.about("C7.txt has no folder C7 or test/C7; that list is left out")
    write("Codecfake/label/A1.txt", "L1_audio_7.wav spoof 0\n")
    with pytest.raises(CorpusError, match="A1.txt, line 1: .* one cell must be real or fake"):
        load_corpus(f"codecfake:{root}", told)


def test_dfadd(plant, told, by_id):
    root = plant(
        *(f"DATASET_VCTK_BONAFIDE/{part}/p230_409.wav" for part in ("train",)),
        "DATASET_VCTK_BONAFIDE/test/p240_001.wav",
        "DATASET_GradTTS/train/p230_409_GradTTS.flac",
        "DATASET_GradTTS/valid/p231_001_GradTTS.flac",
        "DATASET_MatchaTTS/test/p240_001_MatchaTTS.flac",
    )
    trials = by_id(load_corpus(f"dfadd:{root}", told))
    fake = trials["DATASET_GradTTS/train/p230_409_GradTTS.flac"]
    real = trials["DATASET_VCTK_BONAFIDE/train/p230_409.wav"]
    assert (fake.label, fake.system, real.label, real.system) == ("spoof", "GradTTS", "bonafide", "")
    assert (
        (fake.speaker, fake.source_utterance) == (real.speaker, real.source_utterance) == ("p230", "p230_409")
    )
    assert trials["DATASET_GradTTS/valid/p231_001_GradTTS.flac"].split == "dev"
    assert trials["DATASET_MatchaTTS/test/p240_001_MatchaTTS.flac"].vocoder == "hifigan"
    with pytest.raises(
        CorpusError, match="needs DATASET_VCTK_BONAFIDE and DATASET_<system> folders; it has: none"
    ):
        load_corpus(f"dfadd:{root / 'DATASET_GradTTS'}", told)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_any_table(plant, write, told, delimiter):
    root = plant("clips/a b.wav", "clips/c.mp3")
    rows = [
        ["file_path", "key", "attack", "spk", "lang", "subset", "duration"],
        ["clips/a b.wav", "genuine", "", "s1", "en", "validation", "0.2"],
        ["clips/c.mp3", "Fake", "vits", "s2", "de", "eval", ""],
    ]
    write("list.csv", "\n".join(delimiter.join(row) for row in rows), "utf-8-sig")
    trials = load_corpus(root / "list.csv", told)
    assert trials == [
        Trial(
            "clips/a b.wav", str(root / "clips/a b.wav"), "bonafide", speaker="s1", language="en", split="dev",
            corpus="list", duration_s=0.2,
        ),
        Trial(
            "clips/c.mp3", str(root / "clips/c.mp3"), "spoof", system="vits", speaker="s2", language="de",
            split="test", corpus="list",
        ),
    ]  # fmt: skip
    assert load_corpus(f"table:{root / 'list.csv'}", told) == trials


def test_a_table_with_numbers_for_labels(plant, write, told):
    root = plant("a.wav", "b.wav")
    path = write("list.csv", "path,label\na.wav,0\nb.wav,1\n")
    with pytest.raises(CorpusError, match=r"line 2: unknown label '0'.*\?bonafide=VALUE says which"):
        table.read(path, told)
    assert [t.label for t in table.read(path, told, bonafide="0")] == ["bonafide", "spoof"]
    assert [t.label for t in table.read(path, told, bonafide="1")] == ["spoof", "bonafide"]
    path = write("bare.csv", "path\na.wav\n")
    with pytest.raises(CorpusError, match=r"line 2: no label; a column of label, key"):
        table.read(path, told)
    (whole,) = load_corpus(f"table:{path}?label=fake&split=evaluation", told)
    assert (whole.label, whole.split) == ("spoof", "test")
    path = write("none.csv", "recording,label\na.wav,real\n")
    with pytest.raises(CorpusError, match="no column of recordings .* accepted: audio, path"):
        table.read(path, told)
    path = write("split.csv", "path,label,split\na.wav,real,holdout\n")
    with pytest.raises(CorpusError, match="line 2: unknown split 'holdout'; accepted: train"):
        load_corpus(f"table:{path}", told)
    assert root


def test_a_folder_of_other_names(plant, told):
    root = plant(*(f"real/p{n}/{n}.wav" for n in range(8)), *(f"fake/s{n % 4}/{n}.mp3" for n in range(40)))
    plant("real/p0/._0.wav", "fake/s0/.hidden/0.wav")  # what other systems leave behind is no clip
    trials = load_corpus(f"folder:{root}", told)
    assert {t.speaker for t in trials if t.is_bonafide} == {f"p{n}" for n in range(8)}
    assert {t.system for t in trials if not t.is_bonafide} <= {f"s{n}" for n in range(4)}
    assert (
        told.about("split by stable hashes of systems, speakers and texts; ")[0]
        .split(" of ")[2]
        .startswith("48 ")
    )
