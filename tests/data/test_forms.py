from collections import Counter

import pytest

from ringtrue.data.forms import FORMS, confounded, matched
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

LANGUAGES = {"cs": 60, "fr": 50, "en": 40, "it": 30}


def corpus(languages=LANGUAGES):
    trials = []
    for language, count in languages.items():
        for n in range(count):
            name = f"{language}{n}"
            shared = {"language": language, "speaker": f"p-{language}", "audio": "", "split": "train"}
            trials.append(Trial(id=name, label="bonafide", source_utterance=f"u-{name}", **shared))
            trials.append(
                Trial(id=f"copy-{name}", label="spoof", system="world", source_utterance=name, **shared)
            )
        for n in range(8):
            spoken = {"language": language, "system": "tts", "audio": "", "split": "train"}
            trials.append(Trial(id=f"tts-{language}{n}", label="spoof", **spoken))
    return [*trials, Trial(id="t", audio="", label="bonafide", split="test", language="ru")]


def train_side(trials):
    return [trial for trial in trials if trial.split == "train"]


def test_both_forms_train_on_as_many_clips_and_are_tested_alike():
    made = {name: form(corpus()) for name, form in FORMS.items()}
    counts = [Counter(trial.label for trial in train_side(trials)) for trials in made.values()]
    assert counts[0] == counts[1] == {"bonafide": 80, "spoof": 80 + 16}
    assert all([t.id for t in trials if t.split == "test"] == ["t"] for trials in made.values())


def test_matched_speech_says_nothing_of_its_label():
    heard = train_side(matched(corpus()))
    people = {t.id: t for t in heard if t.is_bonafide}
    copies = [t for t in heard if t.source_utterance and not t.is_bonafide]
    assert {t.source_utterance.removeprefix("u-") for t in copies} == set(people)
    assert len(copies) == len(people)
    assert Counter(t.language for t in copies) == Counter(t.language for t in people.values())
    assert len({t.language for t in copies}) == 4


def test_confounded_speech_is_told_by_its_language():
    heard = train_side(confounded(corpus()))
    spoken = {label: {t.language for t in heard if t.label == label} for label in ("bonafide", "spoof")}
    assert spoken == {"bonafide": {"cs", "en"}, "spoof": {"fr", "it"}}
    assert {t.system for t in heard if not t.is_bonafide} == {"world", "tts"}


def test_the_order_of_the_corpus_does_not_matter():
    for form in FORMS.values():
        assert {t.id for t in form(corpus())} == {t.id for t in form(corpus()[::-1])}


@pytest.mark.parametrize("form", FORMS.values())
def test_what_cannot_be_made_is_said(form):
    with pytest.raises(CorpusError, match="1 language"):
        form(corpus({"cs": 60}))
    with pytest.raises(CorpusError, match="5 people's clips"):
        form(corpus({"cs": 60, "fr": 5}))
