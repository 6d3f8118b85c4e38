"""A corpus -> what is said of it before anything is believed: its floor, its ties, its leaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringtrue.data.corpora.remote import is_remote
from ringtrue.data.trials import LABELS, Trial, fingerprint, leaks
from ringtrue.errors import CorpusError, RingtrueError
from ringtrue.files import cache_dir, stable_int, write_json
from ringtrue.pipeline import refuse_too_many

Progress = Callable[[str], None]


def audit_corpus(source: str, progress: Progress, matched: Path | None = None) -> list[str]:
    """Say whether a corpus can be solved without listening, what is tied to the label, and what leaks.

    Args:
        source: As `load_corpus` takes it.
        progress: Takes one line now and then.
        matched: Where to write a manifest of a subset whose two labels have the same surface.

    Returns:
        Lines to print; the first is the verdict.

    Raises:
        CorpusError: A label has fewer than two speakers, or no two recordings match.
    """
    from ringtrue.data import audit
    from ringtrue.data.corpora import load_corpus
    from ringtrue.data.surface import survey
    from ringtrue.data.trials import write_manifest
    from ringtrue.evaluation.metrics import eer

    trials = load_corpus(source, progress)
    surveyed = survey(trials, progress)
    for fault in surveyed.faults[:5]:
        progress(f"left out: {fault}")
    refuse_too_many(surveyed.faults, len(trials))
    floor = audit.cross_validated_floor(surveyed.trials, surveyed.features)
    human = np.array([trial.is_bonafide for trial in surveyed.trials])
    tied, leaked = audit.ties(surveyed), [*leaks(trials), *audit.shared_files(surveyed)]
    lines = [audit.verdict(eer(floor[human], floor[~human]), tied, leaked)]
    split = np.array([trial.split for trial in surveyed.trials])
    heard, judged = split == "train", split == "test"
    if human[heard].any() and (~human)[heard].any() and human[judged].any() and (~human)[judged].any():
        train = [trial for trial in surveyed.trials if trial.split == "train"]
        scores = audit.content_blind_floor(train, surveyed.features[heard], surveyed.features[judged])
        figure = eer(scores[human[judged]], scores[~human[judged]])
        lines.append(f"learnt on train, judged on test: {audit.floor_verdict(figure)}")
    lines += [f"LEAK: {leak}" for leak in leaked]
    lines.append("Cramer's V of the label and " + ", ".join(f"{name} {v:.2f}" for name, v in tied.items()))
    lines += [line for histogram in audit.histograms(surveyed) for line in histogram.lines()]
    if matched is not None:
        chosen = audit.matched_subset(surveyed.trials, floor)
        if not chosen:
            raise CorpusError(
                f"{source}: no recordings of the two labels match; nothing is written to {matched}"
            )
        write_manifest(matched, chosen)
        lines.append(
            f"{matched}: {len(chosen)} recordings that match by their surface; audit them to see how well"
        )
    return lines


AUDITED = 400
"""Recordings of each label that the one-line verdict is made from: enough for an EER to within some five points."""


def audit_line(trials: Sequence[Trial], leaked: Sequence[str], progress: Progress) -> str:
    """Say in one line whether a set can be trusted, from a stable sample of it that is kept for the next time.

    Args:
        trials: What is trained on, or judged.
        leaked: What `leaks` found in the whole corpus.
        progress: Takes one line now and then.

    Returns:
        The line. Where its floor cannot be known, why.
    """
    from ringtrue.data import audit

    path = cache_dir() / "verdicts" / f"{fingerprint(trials)}.json"
    try:
        if not path.exists():
            write_json(path, _sampled(trials, progress))
    except RingtrueError as error:  # too few speakers, or scikit-learn is absent: no reason to stop
        return f"content-blind floor not known ({error}); {audit.say_leaks(leaked)}"
    found = json.loads(path.read_text(encoding="utf-8"))
    return audit.verdict(found["eer"], found["ties"], [*leaked, *found["copies"]])


def _sampled(trials: Sequence[Trial], progress: Progress) -> dict[str, Any]:
    """Audit a sample; what is on the hub is left out: a verdict is not worth hundreds of requests."""
    from ringtrue.data import audit
    from ringtrue.data.surface import survey
    from ringtrue.evaluation.metrics import eer

    sides = (
        [trial for trial in trials if trial.label == label and not is_remote(trial.audio)] for label in LABELS
    )
    sample = [
        trial
        for side in sides
        for trial in sorted(side, key=lambda trial: stable_int("audit", trial.id))[:AUDITED]
    ]
    surveyed = survey(sample, progress)
    human = np.array([trial.is_bonafide for trial in surveyed.trials], dtype=bool)
    floor = audit.cross_validated_floor(surveyed.trials, surveyed.features)
    return {
        "eer": eer(floor[human], floor[~human]),
        "ties": audit.ties(surveyed),
        "copies": audit.shared_files(surveyed),
    }
