from dataclasses import replace

import pytest

from ringtrue.data.trials import Trial, check_disjoint, leaks, validate
from ringtrue.errors import CorpusError

HUMAN = Trial("a", "audio/a.flac", "bonafide", speaker="p1", source_utterance="a", split="train")
MACHINE = Trial("b", "audio/b.flac", "spoof", system="Sys (v1), x", speaker="voice", split="train")


@pytest.mark.parametrize(
    ("trial", "leak"),
    [
        (replace(HUMAN, id="x", split="test", source_utterance=""), "test and train share speaker"),
        (replace(HUMAN, id="x", split="dev", speaker="new"), "dev and train share source_utterance"),
        (replace(MACHINE, id="x", split="dev", speaker="new"), "dev and train share system"),
        (replace(MACHINE, id="x", split="test", speaker="new"), "test and train share system"),
        (replace(MACHINE, id="x", split="test_seen"), "test_seen and train share speaker"),
    ],
)
def test_a_leak_is_found(trial, leak):
    with pytest.raises(CorpusError, match=leak):
        check_disjoint([HUMAN, MACHINE, trial])


def test_only_the_sides_that_are_judged_are_looked_at():
    trials = [HUMAN, replace(HUMAN, id="x", split="test"), replace(HUMAN, id="y", split="dev")]
    assert {line.partition(" share ")[0] for line in leaks(trials)} == {
        "dev and train", "test and train", "test and dev",
    }  # fmt: skip
    assert {line.partition(" share ")[0] for line in leaks(trials, ["dev"])} == {"dev and train"}
    assert leaks(trials, ["test_seen"]) == leaks([]) == []


def test_seen_systems_with_unseen_voices_are_no_leak():
    check_disjoint(
        [HUMAN, MACHINE, replace(MACHINE, id="x", split="test_seen", speaker="other voice", audio="y")]
    )


def test_a_system_of_both_dev_and_test_is_a_leak():
    dev, test = (replace(MACHINE, id=split, split=split, speaker=split) for split in ("dev", "test"))
    with pytest.raises(CorpusError, match="test and dev share system"):
        check_disjoint([dev, test])


def test_no_trials_are_no_corpus():
    with pytest.raises(CorpusError, match="nothing holds no trials"):
        validate([], "nothing")
