"""The zoo of pseudo-generators: what every method owes, what single ones promise, and the corpus that they make."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ringtrue import cli
from ringtrue.data.corpora import CORPORA, load_corpus, zoo
from ringtrue.data.corpora.zoo import builder, copies, spectra
from ringtrue.data.corpora.zoo.methods import FAMILIES, METHODS, draw
from ringtrue.data.corpora.zoo.speech import HOP, RATE_HZ, Speech, track_pitch
from ringtrue.data.trials import Trial, check_disjoint, write_manifest
from ringtrue.errors import CorpusError, MissingExtraError

WITHOUT_WORLD = [name for name, method in METHODS.items() if not method.needs]


@pytest.fixture(scope="module")
def speech(speechlike):
    return Speech(speechlike(1.5, seed=3), lambda: [speechlike(2.0, seed=4)])


def said(speech, method, seed=0):
    return copies.said_again(speech, METHODS[method], np.random.default_rng(seed))


def level_db(wave):
    return 20 * np.log10(np.sqrt(np.mean(np.square(wave, dtype=float))))


def log_mels(wave):
    grid = (1024, 256)
    return np.log(np.abs(spectra.spectrum_of(wave, grid)) @ spectra.mel_of(40, grid).T + 0.01)


# ------------------------------------------------------------------------------------ every method


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_the_same_again_otherwise(name, speech):
    if METHODS[name].needs:
        pytest.importorskip(METHODS[name].needs, reason="the extra probe brings it", exc_type=ImportError)
    before = speech.wave.copy()
    one, again, other = said(speech, name), said(speech, name), said(speech, name, seed=1)
    assert one.dtype == np.float32
    assert one.shape == other.shape == speech.wave.shape
    assert np.isfinite(one).all()
    assert abs(level_db(one) - level_db(speech.wave)) < 0.1 or np.abs(one).max() > 0.97
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.allclose(one, speech.wave, atol=1e-3)
    assert np.corrcoef(log_mels(one).ravel(), log_mels(speech.wave).ravel())[0, 1] > 0.75
    assert np.array_equal(speech.wave, before)


@pytest.mark.parametrize("name", WITHOUT_WORLD)
def test_no_method_minds_a_whisper_a_short_clip_or_one_tone(name):
    rng = np.random.default_rng(5)
    tone = np.sin(2 * np.pi * 150 * np.arange(RATE_HZ) / RATE_HZ)
    for wave in (0.05 * rng.standard_normal(RATE_HZ + 7), 0.1 * tone):
        made = METHODS[name].make(Speech(wave.astype(np.float32)), np.random.default_rng(0))
        assert made.shape == wave.shape
        assert np.isfinite(made).all()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_does(name):
    assert METHODS[name].summary.endswith(".")
    assert METHODS[name].family in FAMILIES


def test_families_are_drawn_evenly_and_then_methods():
    rng = np.random.default_rng(0)
    drawn = [draw(rng, FAMILIES) for _ in range(4000)]
    assert set(drawn) == set(METHODS)
    for family in FAMILIES:
        share = sum(METHODS[name].family == family for name in drawn) / len(drawn)
        assert share == pytest.approx(1 / len(FAMILIES), abs=0.02)
    assert {METHODS[draw(rng, ("mel", "coding"))].family for _ in range(50)} == {"mel", "coding"}


# ---------------------------------------------------------------------------- what single ones promise


def voice(pitch_hz, duration_s=1.0):
    now_s = np.arange(round(RATE_HZ * duration_s)) / RATE_HZ
    return 0.05 * sum(np.sin(2 * np.pi * k * pitch_hz * now_s) / k for k in range(1, 20)).astype(np.float32)


def median_hz(wave):
    hz = track_pitch(wave)
    return np.median(hz[hz > 0])


@pytest.mark.parametrize("pitch_hz", [80, 123, 210, 330])
def test_the_pitch_is_found(pitch_hz):
    hz = track_pitch(voice(pitch_hz))
    assert len(hz) == RATE_HZ // HOP
    assert np.median(hz[20:-20]) == pytest.approx(pitch_hz, rel=0.02)
    assert not track_pitch(np.zeros(8000, np.float32)).any()


@pytest.mark.parametrize("name", ["psola", "pitch_shift"])
@pytest.mark.parametrize("seed", [0, 1])
def test_some_move_the_pitch(name, seed):
    made = METHODS[name].make(Speech(voice(150)), np.random.default_rng(seed))
    assert abs(np.log2(median_hz(made) / 150)) > 0.04


@pytest.mark.parametrize(
    "name", ["griffin_lim", "phase_vocoder", "wsola", "lpc", "cepstral", "harmonic_noise", "formant_shift"]
)
def test_others_keep_it(name):
    made = METHODS[name].make(Speech(voice(150)), np.random.default_rng(0))
    assert median_hz(made) == pytest.approx(150, rel=0.03)


def test_single_pass_inversion_keeps_a_tone_whole():
    """Frames that agree in phase add up; with drawn phases they would lose half of their power."""
    grid = (1024, 256)
    tone = 0.1 * np.sin(2 * np.pi * 443 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    magnitudes = np.abs(spectra.spectrum_of(tone, grid))
    phase = spectra.spsi_phase(magnitudes, grid)
    made = spectra.griffin_lim(magnitudes, phase, grid, tone.size, 0, 0.0)
    assert abs(level_db(made[2000:-2000]) - level_db(tone)) < 0.5


def test_griffin_lim_comes_nearer_with_every_round(speech):
    grid = (512, 128)
    magnitudes = np.abs(spectra.spectrum_of(speech.wave, grid))
    start = np.random.default_rng(0).uniform(0, 2 * np.pi, magnitudes.shape)

    def miss(rounds):
        made = spectra.griffin_lim(magnitudes, start, grid, speech.wave.size, rounds, 0.0)
        return np.linalg.norm(np.abs(spectra.spectrum_of(made, grid)) - magnitudes)

    misses = [miss(rounds) for rounds in (0, 2, 8)]
    assert misses == sorted(misses, reverse=True)


def test_updates_bring_mels_nearer_and_stay_non_negative(speech):
    grid = (1024, 256)
    filters = spectra.mel_of(80, grid)
    mels = np.abs(spectra.spectrum_of(speech.wave, grid)) @ filters.T
    rough, fine = (spectra.unmelled(mels, filters, updates) for updates in (0, 10))
    assert fine.min() >= 0
    assert np.linalg.norm(fine @ filters.T - mels) < 0.5 * np.linalg.norm(rough @ filters.T - mels)


def test_a_minimum_phase_filter_is_causal_and_has_the_envelope():
    cepstra = np.array([[0.3, 0.5, -0.2, 0.1]])
    response = spectra.minimum_phase(cepstra, 512)
    hz = 2 * np.pi * np.arange(257) / 512
    wanted = np.exp(0.3 + 2 * (0.5 * np.cos(hz) - 0.2 * np.cos(2 * hz) + 0.1 * np.cos(3 * hz)))
    assert np.allclose(np.abs(response[0]), wanted)
    impulse = np.fft.irfft(response[0])
    assert np.abs(impulse[256:]).max() < 1e-9


# ------------------------------------------------------------------------------------------ the corpus


def test_the_document_has_every_method_and_option():
    document = Path(__file__).parents[2] / "docs" / "data.md"
    if not document.exists():
        pytest.skip("only in the repository")
    text = document.read_text(encoding="utf-8")
    for name, method in METHODS.items():
        assert re.search(rf"\| `{name}` \| {re.escape(method.summary[:20])}", text), name
    assert all(f"| `{option}=` |" in text for option in CORPORA["zoo"].options)


@pytest.fixture
def people(tmp_path, speechlike, monkeypatch):
    """Four people in three splits, two recordings each; without the methods that need pyworld."""
    for name, method in list(METHODS.items()):
        if method.needs:
            monkeypatch.delitem(METHODS, name)
    rows = []
    folder = tmp_path / "people"
    folder.mkdir()
    for number in range(8):
        split = ("train", "train", "dev", "test")[number % 4]
        name = f"p{number}/ä {number}"  # no file name
        soundfile.write(folder / f"{number}.flac", speechlike(1.2 + 0.02 * number, seed=number), RATE_HZ)
        rows.append(
            Trial(
                name, f"{number}.flac", "bonafide", speaker=f"p{number % 4}", language="cs", split=split,
                source="somewhere", licence="CC0-1.0", transcript=f"Words {number}.",
            )
        )  # fmt: skip
    rows.append(Trial("machine", "0.flac", "spoof", system="x", split="train"))
    write_manifest(folder / "manifest.tsv", rows)
    return folder / "manifest.tsv"


def build(people, root, workers=1, tell=lambda line: None, **options):
    return zoo.build(zoo.wish_of({"of": str(people), "copies": "3", **options}), root, workers, tell)


def files(root):
    kept = (path for path in root.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


def test_a_zoo_is_a_corpus_of_pairs_that_differ_by_the_method_alone(people, tmp_path):
    trials = build(people, tmp_path / "zoo", copies="8")
    check_disjoint(trials)
    humans = {trial.source_utterance: trial for trial in trials if trial.is_bonafide}
    spoofs = [trial for trial in trials if not trial.is_bonafide]
    assert len(humans) == 8
    assert len(spoofs) == 64
    assert {trial.split for trial in spoofs} == {"train", "dev", "test", "test_seen"}
    for trial in spoofs:
        human = humans[trial.source_utterance]
        for field in ("speaker", "language", "transcript", "codec", "licence", "corpus", "duration_s"):
            assert getattr(trial, field) == getattr(human, field), field
        assert trial.split.removesuffix("_seen") == human.split
        assert (trial.acoustic_model, trial.vocoder, trial.source) == ("none", trial.system, "zoo")
        family = METHODS[trial.system].family
        assert (family == "harmonic") is (trial.split == "dev")
        assert (family == "splicing") is (trial.split == "test")
        (one, rate_hz), (other, _) = (soundfile.read(item.audio) for item in (human, trial))
        assert soundfile.info(trial.audio).subtype == "PCM_16"
        assert rate_hz == RATE_HZ
        assert one.shape == other.shape
        assert one.size / RATE_HZ == pytest.approx(trial.duration_s, abs=1e-3)
        assert abs(level_db(one) - level_db(other)) < 0.1 or np.abs(other).max() > 0.97


def test_without_families_of_its_own_dev_has_people_only(people, tmp_path):
    trials = build(people, tmp_path / "zoo", dev="none", test="none")
    assert {trial.split for trial in trials if not trial.is_bonafide} == {"train", "test_seen"}
    assert {trial.split for trial in trials if trial.is_bonafide} == {"train", "dev", "test"}


@pytest.mark.parametrize("after", [0, 9])
def test_an_interrupted_build_goes_on_to_the_same_bytes(people, tmp_path, monkeypatch, after):
    whole = tmp_path / "whole"
    build(people, whole)
    left, write = [after], copies.write_clip

    def killed(path, samples):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return write(path, samples)

    with monkeypatch.context() as killing:
        killing.setattr(copies, "write_clip", killed)
        with pytest.raises(KeyboardInterrupt):
            build(people, tmp_path / "zoo")
    assert not (tmp_path / "zoo" / "manifest.tsv").exists()
    build(people, tmp_path / "zoo")
    assert files(tmp_path / "zoo") == files(whole)


def test_workers_make_the_same_bytes_and_a_complete_corpus_is_not_made_again(people, tmp_path):
    trials = build(people, tmp_path / "one", copies="1")
    build(people, tmp_path / "two", workers=2, copies="1")
    assert files(tmp_path / "two") == files(tmp_path / "one")
    people.unlink()  # what is complete needs its people no more
    assert build(people, tmp_path / "one", copies="1") == trials


def test_a_bad_recording_costs_only_itself(people, tmp_path, monkeypatch):
    (people.parent / "3.flac").write_bytes(b"no sound")
    soundfile.write(people.parent / "5.flac", np.zeros(40_000, np.float32), RATE_HZ)

    def breaks(speech, rng):
        raise ZeroDivisionError("nothing to divide by")

    for name, method in list(METHODS.items()):
        if method.family == "mel":
            monkeypatch.setitem(METHODS, name, type(method)("mel", breaks))
    told = []
    trials = build(people, tmp_path / "zoo", copies="6", tell=told.append)
    assert {trial.id for trial in trials if trial.is_bonafide} == {
        f"p{number}/ä {number}" for number in range(8) if number not in (3, 5)
    }
    assert not any(METHODS[trial.system].family == "mel" for trial in trials if trial.system)
    assert any("going on without p3/ä 3: " in line and "3.flac" in line for line in told)
    assert any("p5/ä 5: 0.0 s of speech; at least 0.5 s are needed" in line for line in told)
    assert any("nothing to divide by" in line for line in told)


def test_the_command_builds_it_and_says_what_is_wrong(people, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(builder, "require", lambda module, extra: None)

    def run(source):
        code = cli.main(["corpus", "prepare", source])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out + err

    monkeypatch.setattr("os.cpu_count", lambda: 1)
    root = tmp_path / "zoo"
    code, said = run(f"zoo:{root}?of={people}&copies=2&dev=mel,phase")
    assert code == 0
    assert "24 trials" in said
    assert "the corpus is complete: 8 bona fide and 16 spoof clips" in said
    assert len(load_corpus(root)) == 24
    for options, complaint in (
        ("copies=2", "built with other settings"),
        ("copies=0", "copies=0; accepted is a whole number from 1 to 100"),
        ("copies=many", "copies=many; accepted is a whole number"),
        ("seed=-1", "seed=-1; accepted is a whole number"),
        ("dev=nothing", r"dev=nothing: no family ['nothing']; accepted: none, or any of phase, mel"),
        ("dev=mel&test=mel,phase", "dev and test share mel"),
        ("kopies=2", "zoo takes no option ['kopies']; accepted: of, copies, seed, dev, test, vocoders"),
    ):
        code, said = run(f"zoo:{root}?of={people}&{options}")
        assert code != 0
        assert complaint in said
    assert "of= is empty" in run(f"zoo:{tmp_path / 'new'}?of=")[1]
    assert "no corpus 'nobody'" in run(f"zoo:{tmp_path / 'new'}?of=nobody")[1]


def test_people_are_needed(people, tmp_path):
    write_manifest(people, [Trial("machine", "0.flac", "spoof", system="x", split="train")])
    with pytest.raises(CorpusError, match="holds no bona fide trials, and there is nobody to copy"):
        build(people, tmp_path / "zoo")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("!")
    with pytest.raises(CorpusError, match="is not empty"):
        build(people, tmp_path / "mine")


def test_without_pyworld_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyworld", None)
    with pytest.raises(MissingExtraError, match=r"pyworld is not installed.*ringtrue\[probe\]"):
        zoo.build(zoo.Wish(of=str(tmp_path)), tmp_path / "zoo", 1, lambda line: None)
