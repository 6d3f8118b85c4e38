"""The content-blind audit: features with analytic values, a floor that finds planted confounds and only those."""

from __future__ import annotations

import numpy as np
import pytest

from ringtrue.data.audit import (
    content_blind_floor,
    cramers_v,
    cross_validated_floor,
    floor_verdict,
    histograms,
    matched_subset,
    shared_files,
    ties,
    verdict,
)
from ringtrue.data.surface import FEATURE_NAMES, Survey, content_blind_features, measure, survey
from ringtrue.data.trials import Trial, check_disjoint, leaks
from ringtrue.errors import CorpusError
from ringtrue.evaluation.metrics import eer

RATE_HZ = 16_000


@pytest.fixture(autouse=True)
def _a_small_forest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the trees: what is tested here does not rest on the last of them."""
    monkeypatch.setattr("ringtrue.data.audit._TREES", 100)


def features(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURE_NAMES, content_blind_features(samples.astype(np.float32)).tolist(), strict=True))


def tone(frequency_hz: float, duration_s: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(int(RATE_HZ * duration_s)) / RATE_HZ)


def test_a_tone_between_silences() -> None:
    wave = np.concatenate([np.zeros(8000), tone(1500), np.zeros(4000)])
    seen = features(wave)
    assert seen["duration_s"] == pytest.approx(1.75)
    assert seen["peak_db"] == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert seen["level_db"] == pytest.approx(10 * np.log10(0.125 / 1.75), abs=0.01)
    assert seen["crest_db"] == pytest.approx(seen["peak_db"] - seen["level_db"])
    assert seen["leading_silence_s"] == pytest.approx(0.5, abs=0.03)
    assert seen["trailing_silence_s"] == pytest.approx(0.25, abs=0.03)
    assert seen["silence_share"] == pytest.approx(0.75 / 1.75, abs=0.03)
    assert seen["noise_floor_db"] == -120.0
    assert seen["band_1000_2000_hz_db"] == pytest.approx(0.0, abs=0.01)
    assert seen["band_4000_6000_hz_db"] < -30
    assert seen["bandwidth_hz"] == pytest.approx(1500, abs=150)


def test_white_noise_spreads_over_the_bands_by_their_width() -> None:
    seen = features(np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ))
    assert seen["level_db"] == pytest.approx(-20, abs=0.1)
    assert seen["band_6000_8000_hz_db"] == pytest.approx(10 * np.log10(0.25), abs=0.2)
    assert seen["band_1000_2000_hz_db"] == pytest.approx(10 * np.log10(0.125), abs=0.2)
    assert seen["bandwidth_hz"] > 7800
    assert seen["silence_share"] == 0


def test_gain_moves_levels_only() -> None:
    wave = np.random.default_rng(1).normal(0, 0.2, RATE_HZ) * np.linspace(0.01, 1, RATE_HZ)
    loud, soft = features(wave), features(wave / 4)
    for name in FEATURE_NAMES:
        moved = -20 * np.log10(4) if name in ("level_db", "peak_db", "noise_floor_db") else 0.0
        assert soft[name] - loud[name] == pytest.approx(moved, abs=1e-3), name


@pytest.mark.parametrize(
    "samples", [np.zeros(16_000), np.zeros(1), np.ones(1), np.ones(399), np.full(500, 1e-9)]
)
def test_silence_and_snippets_are_finite(samples: np.ndarray) -> None:
    values = content_blind_features(samples.astype(np.float32))
    assert values.shape == (15,)
    assert np.all(np.isfinite(values))


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 100))])
def test_no_samples_or_stereo_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(CorpusError, match="a non-empty mono wave"):
        content_blind_features(samples.astype(np.float32))


def corpus(count: int, seed: int, gap_db: float) -> tuple[list[Trial], np.ndarray]:
    """Noise of both classes, spoof quieter by `gap_db`; nothing else differs."""
    rng = np.random.default_rng(seed)
    trials = [Trial(f"{seed}-{i}", "", "spoof" if i % 2 else "bonafide") for i in range(count)]
    waves = {
        trial.id: rng.normal(0, 0.1, 4000)
        * 10 ** ((rng.normal(0, 1) - gap_db * (trial.label == "spoof")) / 20)
        for trial in trials
    }
    return trials, measure(trials, lambda trial: waves[trial.id].astype(np.float32))


@pytest.mark.parametrize(("gap_db", "low", "high"), [(0.0, 0.36, 0.64), (2.0, 0.08, 0.27), (12.0, 0.0, 0.01)])
def test_the_floor_finds_a_planted_level_difference(gap_db: float, low: float, high: float) -> None:
    """Unit-spread levels 2 dB apart have an EER of Phi(-1) = 16 %; equal ones are chance."""
    (train, train_features), (test, test_features) = corpus(200, 1, gap_db), corpus(200, 2, gap_db)
    scores = content_blind_floor(train, train_features, test_features, seed=3)
    bonafide = np.array([trial.is_bonafide for trial in test])
    assert np.all(np.isfinite(scores))
    assert low <= eer(scores[bonafide], scores[~bonafide]) <= high


def test_the_floor_repeats_with_its_seed_and_needs_both_classes() -> None:
    train, values = corpus(60, 1, 1.0)
    first, again = (content_blind_floor(train, values, values[:9], seed=2**40 + 1) for _ in range(2))
    assert first.tolist() == again.tolist()
    with pytest.raises(CorpusError, match="30 bona fide among 30 training trials"):
        content_blind_floor(train[::2], values[::2], values)
    with pytest.raises(CorpusError, match="one row a trial"):
        content_blind_floor(train, values[1:], values)


def test_measure_reports_progress() -> None:
    lines: list[str] = []
    trials = [Trial(str(i), "", "spoof") for i in range(501)]
    assert measure(trials, lambda trial: np.ones(10, np.float32), lines.append).shape == (501, 15)
    assert [line.split(": ")[1] for line in lines] == ["500 of 501 trials", "501 of 501 trials"]


def test_verdicts() -> None:
    assert "hardly" in floor_verdict(0.35)
    assert "CONFOUNDED" in floor_verdict(0.349)
    assert "the other way" in floor_verdict(0.7)


def test_cramers_v_against_scipy() -> None:
    """scipy's chi-squared, with Bergsma's correction written out."""
    from scipy.stats import chi2_contingency

    rng = np.random.default_rng(0)
    labels = rng.choice(["bonafide", "spoof"], 300)
    languages = np.where(
        labels == "spoof", rng.choice(["en", "de"], 300), rng.choice(["en", "de", "ru"], 300)
    )
    table = [
        [int(np.sum((labels == a) & (languages == b))) for b in ("de", "en", "ru")]
        for a in ("bonafide", "spoof")
    ]
    phi_squared = chi2_contingency(np.array(table), correction=False)[0] / 300 - 2 / 299
    expected = np.sqrt(phi_squared / (min(2 - 1 / 299, 3 - 4 / 299) - 1))
    assert cramers_v(labels.tolist(), languages.tolist()) == pytest.approx(expected)
    blanks = [*languages.tolist(), "", ""]
    assert cramers_v([*labels.tolist(), "spoof", "spoof"], blanks) == cramers_v(
        labels.tolist(), languages.tolist()
    )
    assert cramers_v(["spoof", "bonafide"], ["en", "en"]) == 0.0
    assert cramers_v(["spoof"], [""]) == 0.0


def test_many_values_are_no_tie_by_themselves() -> None:
    """A hundred texts, each twice, dealt at random; and a text each of its own."""
    rng = np.random.default_rng(1)
    labels = rng.choice(["bonafide", "spoof"], 200).tolist()
    assert cramers_v(labels, [str(i % 100) for i in range(200)]) < 0.3
    assert cramers_v(labels, [str(i) for i in range(200)]) == 0.0
    assert cramers_v(labels, [f"{label} {i % 10}" for i, label in enumerate(labels)]) > 0.95


# --- the floor by itself, what is tied, what matches ------------------------------------------------------------


def people(count: int, gap_db: float, speakers: int = 10, seed: int = 0) -> tuple[list[Trial], np.ndarray]:
    """Both labels, `speakers` each; a speaker has a level of their own, spoof lies `gap_db` below on average."""
    rng = np.random.default_rng(seed)
    own_db = rng.normal(0, 1, 2 * speakers)
    trials, waves = [], []
    for i in range(count):
        label, speaker = ("bonafide", "spoof")[i % 2], int(rng.integers(speakers)) + speakers * (i % 2)
        level_db = own_db[speaker] + rng.normal(0, 0.5) - gap_db * (i % 2)
        trials.append(Trial(str(i), "", label, system="s" * (i % 2), speaker=f"p{speaker}"))
        waves.append(rng.normal(0, 0.05, 4_000) * 10 ** (level_db / 20))
    return trials, measure(trials, lambda trial: waves[int(trial.id)].astype(np.float32))


def eer_of(trials: list[Trial], scores: np.ndarray) -> float:
    human = np.array([trial.is_bonafide for trial in trials])
    return eer(scores[human], scores[~human])


def test_the_cross_validated_floor_knows_no_speaker() -> None:
    """Where only speakers differ, a forest that had heard them would look like a confound; this one does not."""
    trials, values = people(160, gap_db=0.0, speakers=4)
    scores = cross_validated_floor(trials, values)
    assert eer_of(trials, scores) > 0.35
    assert eer_of(trials, content_blind_floor(trials, values, values)) < 0.1
    confounded, values = people(80, gap_db=8.0)
    scores = cross_validated_floor(confounded, values)
    assert cross_validated_floor(confounded, values).tolist() == scores.tolist()
    assert eer_of(confounded, scores) < 0.05


def test_it_needs_two_speakers_of_a_class() -> None:
    trials, values = people(40, 0.0)
    alone = [Trial(t.id, "", t.label, speaker="one" if t.is_bonafide else t.speaker) for t in trials]
    with pytest.raises(CorpusError, match="a class has 1 groups of speakers"):
        cross_validated_floor(alone, values)


def test_a_matched_subset_is_no_longer_confounded() -> None:
    trials, values = people(400, gap_db=1.5, speakers=100, seed=2)
    scores = cross_validated_floor(trials, values)
    before = eer_of(trials, scores)
    chosen = matched_subset(trials, scores)
    assert len(chosen) > 100
    assert sum(t.is_bonafide for t in chosen) * 2 == len(chosen)
    assert len({t.id for t in chosen}) == len(chosen)
    rows = [int(t.id) for t in chosen]
    after = eer_of(chosen, cross_validated_floor(chosen, values[rows]))
    assert before < 0.35
    assert after > before + 0.1
    level = FEATURE_NAMES.index("level_db")
    human = np.array([t.is_bonafide for t in trials])
    kept = np.array([t.is_bonafide for t in chosen])
    gaps = [
        abs(part[mask, level].mean() - part[~mask, level].mean())
        for part, mask in ((values, human), (values[rows], kept))
    ]
    assert gaps[1] < gaps[0] / 2
    assert matched_subset(trials[::-1], scores[::-1])[::-1] == chosen


def test_labels_that_do_not_overlap_have_no_match() -> None:
    trials, _ = people(100, 30.0)
    assert matched_subset(trials, np.where([t.is_bonafide for t in trials], 5.0, -5.0)) == []


def surveyed(trials: list[Trial], rates: list[str], digests: list[str] | None = None) -> Survey:
    count = len(trials)
    values = np.tile(np.arange(15.0), (count, 1)) + np.arange(count)[:, None]
    digests = digests or [str(i) for i in range(count)]
    return Survey(tuple(trials), values, tuple(rates), ("flac",) * count, tuple(digests), ())


def test_ties_name_what_tells_the_label() -> None:
    trials = [
        Trial(
            str(i), "", "spoof" if i % 2 else "bonafide", speaker=f"p{i % 6}", language=("en", "de")[i % 4 // 2],
            transcript=f"words {i}", corpus=f"c{i % 2}",
        )
        for i in range(120)
    ]  # fmt: skip
    found = ties(surveyed(trials, ["22050" if t.label == "spoof" else "16000" for t in trials]))
    assert list(found)[:3] == ["rate", "corpus", "speaker"]
    assert found["rate"] == found["corpus"] == pytest.approx(1.0)
    assert found["language"] == found["coding"] == found["text"] == found["codec"] == 0.0
    line = verdict(0.2, found, ["test and train share speaker ['p1']", "x"])
    assert "CONFOUNDED" in line and "rate 1.00, corpus 1.00, speaker 0.98" in line
    assert "language" not in line and line.endswith("LEAKS: test and train share speaker ['p1'] and 1 more")


def test_histograms_share_their_bins_and_lose_nobody() -> None:
    trials = [Trial(str(i), "", "spoof" if i % 3 else "bonafide") for i in range(99)]
    for histogram in histograms(surveyed(trials, ["16000"] * 99)):
        assert {label: counts.sum() for label, counts in histogram.counts.items()} == {
            "bonafide": 33,
            "spoof": 66,
        }
        lines = histogram.lines()
        assert len(lines) == 2 and lines[0].startswith(f"{histogram.name:14} bonafide")
        assert "█" in lines[0] and "█" in lines[1]


def test_the_same_file_under_two_names_is_found() -> None:
    trials = [
        Trial("a", "a.wav", "bonafide", split="train"), Trial("b", "b.wav", "bonafide", split="test"),
        Trial("c", "c.wav", "spoof", split="train", system="s"),
        Trial("d", "d.wav", "spoof", split="train", system="s"),
    ]  # fmt: skip
    assert shared_files(surveyed(trials, ["1"] * 4)) == []
    found = shared_files(surveyed(trials, ["1"] * 4, ["x", "x", "y", "y"]))
    assert found == ["test and train share 1 files, such as ['a']"]
    assert shared_files(surveyed(trials, ["1"] * 4, ["x", "z", "x", "y"])) == [
        "bonafide and spoof share 1 files, such as ['a']"
    ]


def test_one_path_in_two_splits_is_a_leak() -> None:
    trials = [Trial("a", "x.wav", "bonafide", split="train"), Trial("b", "x.wav", "bonafide", split="test")]
    assert leaks(trials) == ["test and train share the file ['x.wav']"]
    with pytest.raises(CorpusError, match="a leak"):
        check_disjoint(trials)


def test_a_survey_reads_what_files_say_and_names_what_it_cannot(tmp_path, encode, speechlike) -> None:
    (tmp_path / "a.wav").write_bytes(encode("wav", speechlike(0.5, rate_hz=8_000), 8_000))
    (tmp_path / "b.mp3").write_bytes(encode("mp3", speechlike(0.5)))
    (tmp_path / "c.wav").write_bytes(b"no sound")
    trials = [Trial(name, str(tmp_path / name), "spoof") for name in ("a.wav", "b.mp3", "c.wav")]
    found = survey(trials)
    assert found.rates_hz == ("8000", "16000")
    assert found.codings == ("pcm_16", "mp3")
    assert found.features.shape == (2, 15)
    assert len(found.faults) == 1 and "c.wav" in found.faults[0]
    assert survey([]).features.shape == (0, 15)
