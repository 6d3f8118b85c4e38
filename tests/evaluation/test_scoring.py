import json

import numpy as np
import pytest

from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError
from ringtrue.evaluation.scoring import score_resumably, score_trials
from ringtrue.windows import WINDOW

TRIALS = [Trial(f"t{i}", "", "bonafide") for i in range(23)]


def load(trial):
    number = int(trial.id[1:])
    if number % 10 == 7:
        raise AudioError(f"{trial.id} is damaged")
    return np.full(1_000 + number * WINDOW // 3, number, np.float32)


def mean_of_windows(windows):
    assert windows.shape[1] == WINDOW
    return windows.mean(axis=1).astype(np.float64)


def test_every_trial_gets_the_mean_of_its_windows_in_order():
    outcomes = list(score_trials(mean_of_windows, TRIALS, load))
    assert [outcome.trial for outcome in outcomes] == TRIALS
    for number, outcome in enumerate(outcomes):
        if number % 10 == 7:
            assert outcome.error == f"t{number} is damaged"
            assert np.isnan(outcome.score)
        else:
            assert outcome.score == pytest.approx(number)


def test_a_killed_scoring_goes_on_where_it_was(tmp_path):
    journal = tmp_path / "deep" / "journal.jsonl"
    whole = {o.trial.id: o.score for o in score_trials(mean_of_windows, TRIALS, load) if not o.error}
    running = score_resumably(mean_of_windows, TRIALS, load, journal)
    for _ in range(9):
        next(running)
    running.close()
    with open(journal, "a") as file:
        file.write('{"id": "t22", "sco')  # cut by the kill
    heard = []

    def listening(trial):
        heard.append(trial.id)
        return load(trial)

    resumed = {
        o.trial.id: o.score
        for o in score_resumably(mean_of_windows, TRIALS, listening, journal)
        if not o.error
    }
    assert resumed == whole
    assert len(heard) < len(TRIALS)
    assert "t22" in heard
    assert {json.loads(line)["id"] for line in journal.read_text().splitlines()} == set(whole)


def test_nothing_to_score_is_nothing():
    assert list(score_trials(mean_of_windows, [], load)) == []
