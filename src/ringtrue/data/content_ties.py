"""Training trials -> as many of them with content tied to the label, or with the same content under both labels.

The two sets have the same human recordings and about as many machine-made ones, from the same pool. They differ in
what the machines say only, so that a difference between detectors trained on them is due to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.files import stable_int


def choose(trials: Sequence[Trial], content: Literal["tied", "matched"]) -> list[Trial]:
    """Thin out the training split, and leave the others alone.

    Of what both people and machines say in training, people keep half. Machines say the same half (``matched``) or
    the other (``tied``). What only one label says is left out.

    Args:
        trials: A corpus.
        content: Which of the two.

    Returns:
        The trials that stay.

    Raises:
        CorpusError: People and machines have nothing, or next to nothing, in common.
    """
    heard = [trial for trial in trials if trial.split == "train"]
    said = [{_content(trial) for trial in heard if trial.is_bonafide is human} for human in (True, False)]
    common = sorted((said[0] & said[1]) - {""}, key=lambda words: stable_int("content", words))
    half = set(common[::2])
    if len(common) < 4:
        raise CorpusError(
            f"{len(common)} sentences are said by people and machines in training: content can be neither tied nor "
            "matched; take a corpus with transcripts or source utterances, such as starter-full or mlaad+m-ailabs"
        )
    machines = half if content == "matched" else set(common) - half
    return [
        trial
        for trial in trials
        if trial.split != "train" or _content(trial) in (half if trial.is_bonafide else machines)
    ]


def _content(trial: Trial) -> str:
    """What is said: the words where they are known, else the recording that they come from."""
    return " ".join(trial.transcript.casefold().split()) or trial.source_utterance
