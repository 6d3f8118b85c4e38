import numpy as np
import pytest
import torch

from ringtrue.data.trials import Trial
from ringtrue.evaluation.probes.leakage import Heard, listen, normalised, probe_leakage, retrieve, untrained
from ringtrue.windows import content_frames


def trial(number, **fields):
    given = {
        "label": "spoof",
        "speaker": f"s{number % 6}",
        "system": f"g{number % 3}",
        "split": "dev",
        **fields,
    }
    return Trial(str(number), "", **given)


def test_retrieval_finds_the_same_text_in_another_voice():
    rng = np.random.default_rng(0)
    texts, voices = rng.normal(size=(20, 8)), rng.normal(size=(3, 8))
    trials = [trial(n, speaker=f"v{n % 3}", transcript=f"text {n // 3}") for n in range(60)]
    by_text = np.array([texts[n // 3] + 0.1 * rng.normal(size=8) for n in range(60)], np.float32)
    by_voice = np.array([voices[n % 3] + 0.1 * rng.normal(size=8) for n in range(60)], np.float32)
    found, blind = retrieve(by_text, trials, 0), retrieve(by_voice, trials, 0)
    assert found["recall_at_1"] > 0.95
    assert found["chance"] == pytest.approx(2 / 40)
    assert blind["recall_at_1"] < 0.2
    assert found["queries"] == 60
    assert retrieve(by_text[:3], trials[:3], 0) is None


def test_each_question_is_answered_from_what_was_planted_for_it():
    rng = np.random.default_rng(0)
    trials = [trial(n, language=("en", "de")[n % 2], transcript=f"text {n // 2}") for n in range(96)]
    units = {t.id: rng.integers(6, size=30).astype(np.int16) for t in trials}
    code = rng.normal(size=(6, 10))
    frames = [(2 * code[units[t.id]].T + rng.normal(size=(10, 30))).astype(np.float32) for t in trials]
    clips = rng.normal(size=(96, 10)).astype(np.float32)
    clips[:, 0] += [4 * (n % 2) for n in range(96)]  # the language, and nothing of the generator
    answers = probe_leakage(Heard(frames, clips), trials, units, ("linear", "mlp"), 0)
    assert answers["content"]["linear"]["accuracy"] > 0.8
    assert answers["language"]["mlp"]["accuracy"] > 0.9
    assert answers["generator"]["mlp"]["accuracy"] < 0.55
    raw = {"content": {"mlp": {**answers["content"]["mlp"], "accuracy": 1.0}}}
    assert 0.7 < normalised(answers, raw)["content"] < 1.0


def test_listening_keeps_only_the_frames_of_the_clip(speechlike):
    waves = [speechlike(1.0, 1), speechlike(5.0, 2)]
    model = untrained("prosody_encoder", {"size": "XS"}, 0)
    for listener in (None, model):
        heard = listen(listener, waves)
        assert [clip.shape[1] for clip in heard.frames] == [content_frames(16_000), content_frames(64_000)]
        assert len(heard.clips) == 2
    before = torch.get_rng_state()
    again = untrained("prosody_encoder", {"size": "XS"}, 0)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
