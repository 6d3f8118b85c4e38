"""What a large teacher passes on: judgements of clips it was not fitted on, and nothing of the words where asked."""

import numpy as np
import pytest
import torch

from ringtrue.data.trials import Trial
from ringtrue.errors import ConfigError, CorpusError
from ringtrue.evaluation.metrics import eer
from ringtrue.models.frontend import FrontEnd
from ringtrue.training.content import ContentUnits
from ringtrue.training.distil import teach
from ringtrue.training.losses import distillation_loss
from ringtrue.windows import content_frames

WORDS = 6


class Oracle(FrontEnd):
    """A front end whose first dimension hears the label, the next six the words, and the rest nothing."""

    def __init__(self):
        super().__init__()
        self.num_layers = 1
        self.freeze("oracle")

    def hidden(self, wave, last):
        number, label, word = (int(value) for value in wave[0, :3].round())
        rng = torch.Generator().manual_seed(number)
        frames = torch.randn(1, content_frames(wave.shape[1]), WORDS + 4, generator=rng)
        frames[:, :, 0] += 1.5 * label
        frames[:, :, 1 + word] += 2.0
        return [frames] * (last + 1)


@pytest.fixture(scope="module")
def corpus():
    trials, waves, said = [], {}, {}
    for n in range(160):
        human, word = n % 2, (n // 2) % WORDS
        trials.append(
            Trial(
                id=f"c{n}", audio="", label="bonafide" if human else "spoof", split="train",
                speaker=f"s{n // 8}", system="" if human else "x",
            )
        )  # fmt: skip
        wave = np.zeros(8_000, np.float32)
        wave[:3] = n, human, word
        waves[f"c{n}"] = wave
        said[f"c{n}"] = np.full(24, word, np.int16)
    return trials, waves, ContentUnits(WORDS, said, "key", {})


def taught(corpus, folder, **options):
    trials, waves, units = corpus
    return teach(trials, lambda t: waves[t.id], Oracle(), units, folder, layer=1, **options)


def word_read(teaching, corpus):
    """How much better than chance a linear map reads the words from the embeddings: explained variance."""
    trials, _, units = corpus
    features = np.stack([teaching.embedding[t.id] for t in trials]).astype(float)
    words = np.eye(WORDS)[[units.by_trial[t.id][0] for t in trials]]
    words -= words.mean(0)
    design = np.column_stack([features, np.ones(len(features))])
    left = words - design @ np.linalg.lstsq(design, words, rcond=None)[0]
    return 1 - (left**2).sum() / (words**2).sum()


def test_clips_are_judged_by_a_detector_that_never_heard_their_speaker(corpus, tmp_path):
    trials, waves, units = corpus
    teaching = taught(corpus, tmp_path)
    score = np.array([teaching.logits[t.id] @ [-1, 1] for t in trials])
    human = np.array([t.is_bonafide for t in trials])
    assert eer(score[human], score[~human]) < 0.05
    # With labels that mean nothing there is nothing to know, and nothing is learnt by heart.
    rng = np.random.default_rng(0)
    blind = {name: np.where(np.arange(8_000) == 1, rng.integers(0, 2), wave) for name, wave in waves.items()}
    nothing = taught((trials, blind, units), tmp_path / "blind")
    score = np.array([nothing.logits[t.id] @ [-1, 1] for t in trials])
    assert 0.35 < eer(score[human], score[~human]) < 0.65


def test_erasing_content_takes_the_words_and_leaves_the_label(corpus, tmp_path):
    raw, blind, control = (taught(corpus, tmp_path, erase=what) for what in ("nothing", "content", "random"))
    trials = corpus[0]
    human = np.array([t.is_bonafide for t in trials])
    for teaching in (raw, blind):
        score = np.array([teaching.logits[t.id] @ [-1, 1] for t in trials])
        assert eer(score[human], score[~human]) < 0.05
    assert word_read(raw, corpus) > 0.8
    assert word_read(blind, corpus) < 0.15
    assert word_read(control, corpus) > word_read(blind, corpus) + 0.2


def test_statistics_are_cached(corpus, tmp_path):
    first = taught(corpus, tmp_path)

    def forbidden(trial):
        raise AssertionError("asked the teacher again")

    trials, _, units = corpus
    again = teach(trials, forbidden, Oracle(), units, tmp_path, layer=1)
    assert all(np.array_equal(first.logits[t.id], again.logits[t.id]) for t in trials)


def test_bad_settings_are_named(corpus, tmp_path):
    trials, waves, units = corpus
    with pytest.raises(ConfigError, match=r"distillation\.layer = 3: oracle has layers 0 to 1"):
        teach(trials, lambda t: waves[t.id], Oracle(), units, tmp_path, layer=3)
    lone = [t for t in trials if t.speaker == "s0"]
    with pytest.raises(CorpusError, match="1 speakers, too few"):
        teach(lone, lambda t: waves[t.id], Oracle(), units, tmp_path, layer=1)


def test_the_loss_is_nothing_where_student_and_teacher_agree_and_grows_with_what_parts_them():
    rng = torch.Generator().manual_seed(0)
    logits, embedding = torch.randn(6, 2, generator=rng), torch.randn(6, 5, generator=rng)
    turned, _ = torch.linalg.qr(torch.randn(5, 5, generator=rng))
    same = distillation_loss(logits, embedding, logits + 3.0, 2.0 * embedding @ turned, 2.0)
    assert float(same) == pytest.approx(0.0, abs=1e-6)  # a shift, a scale and a rotation are no disagreement
    assert float(distillation_loss(logits, embedding, -logits, embedding, 2.0)) > 0.1
    assert float(distillation_loss(logits, embedding, logits, embedding.flip(0), 2.0)) > 0.01
