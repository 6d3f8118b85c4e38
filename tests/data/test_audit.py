"""The content-blind audit: features with analytic values, a floor that finds planted confounds and only those."""

from __future__ import annotations

import numpy as np
import pytest

from ringtrue.data.audit import (
    FEATURE_NAMES,
    content_blind_features,
    content_blind_floor,
    cramers_v,
    floor_verdict,
    measure,
)
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.evaluation.metrics import eer

RATE_HZ = 16_000


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
    from scipy.stats.contingency import association

    rng = np.random.default_rng(0)
    labels = rng.choice(["bonafide", "spoof"], 300)
    languages = np.where(
        labels == "spoof", rng.choice(["en", "de"], 300), rng.choice(["en", "de", "ru"], 300)
    )
    table = [
        [int(np.sum((labels == a) & (languages == b))) for b in ("de", "en", "ru")]
        for a in ("bonafide", "spoof")
    ]
    assert cramers_v(labels.tolist(), languages.tolist()) == pytest.approx(
        association(np.array(table), "cramer")
    )
    blanks = [*languages.tolist(), "", ""]
    assert cramers_v([*labels.tolist(), "spoof", "spoof"], blanks) == cramers_v(
        labels.tolist(), languages.tolist()
    )
    assert cramers_v(["spoof", "bonafide"], ["en", "en"]) == 0.0
    assert cramers_v(["spoof"], [""]) == 0.0
