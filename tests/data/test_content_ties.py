"""Two training sets that differ in what the machines say only."""

import pytest

from ringtrue.data.content_ties import choose
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError


def corpus():
    trials = []
    for number in range(20):
        for label, voices in (("bonafide", 2), ("spoof", 3)):
            for voice in range(voices):
                words = f"Sentence  {number}" if label == "spoof" else f"sentence {number}"
                trials.append(Trial(f"{label}-{number}-{voice}", "", label, transcript=words, split="train"))
    trials.append(Trial("lone", "", "spoof", transcript="only a machine says this", split="train"))
    trials += [Trial(f"d{i}", "", "spoof", transcript=f"dev {i}", split="dev") for i in range(3)]
    return trials


def said(trials, label):
    return {
        t.transcript.lower().replace("  ", " ") for t in trials if t.split == "train" and t.label == label
    }


def test_the_same_people_and_as_many_machines():
    tied, matched = choose(corpus(), "tied"), choose(corpus(), "matched")
    people = [[t.id for t in side if t.split == "train" and t.is_bonafide] for side in (tied, matched)]
    assert people[0] == people[1]
    assert len(people[0]) == 20
    machines = [sum(t.split == "train" and not t.is_bonafide for t in side) for side in (tied, matched)]
    assert machines == [30, 30]
    assert said(matched, "bonafide") == said(matched, "spoof")
    assert not said(tied, "bonafide") & said(tied, "spoof")
    for side in (tied, matched):
        assert "lone" not in {t.id for t in side}
        assert sum(t.split == "dev" for t in side) == 3


def test_twins_without_words_match_by_their_source():
    trials = [
        Trial(f"{label}{n}", "", label, source_utterance=f"s{n}", split="train")
        for label in ("bonafide", "spoof")
        for n in range(8)
    ]
    kept = choose(trials, "matched")
    assert len(kept) == 8
    assert {t.source_utterance for t in kept if t.is_bonafide} == {
        t.source_utterance for t in kept if not t.is_bonafide
    }


def test_nothing_in_common_is_refused():
    with pytest.raises(CorpusError, match="0 sentences are said by people and machines"):
        choose([Trial("a", "", "bonafide", transcript="x", split="train")], "tied")
