"""The anti-spoofing arena's Parquet re-packs -> Trials: many test sets in one shape (path, audio, label, notes).

In-the-Wild, ASVspoof, DFADD, DECRO, CD-ADD, FoR, ADD, CFAD … All of them test. Labels are numbers there: 0 is bona
fide, 1 is spoof. ``notes`` is a JSON object with what else is known.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ringtrue.data.corpora import hub, parquet
from ringtrue.data.corpora.rows import Progress, Reading
from ringtrue.data.trials import LABELS, Trial
from ringtrue.errors import CorpusError

NAME = "arena"
OWNER = "SpeechAntiSpoofingBenchmarks"
PUBLISHED = {"ASVspoof2019_LA": 71_237, "InTheWild": 31_779}  # trials of the sets whose number is published


def read(root: Path, progress: Progress, set: str = "") -> list[Trial]:
    """Read one re-pack, fetching it first where its name is given.

    Args:
        root: Folder with its Parquet files, at any depth.
        progress: Takes one line for each bad row.
        set: Name on the hub, such as ``InTheWild``; then it is fetched into a folder of this name in `root`.

    Returns:
        The trials, all in ``test``.

    Raises:
        CorpusError: There is no Parquet file, one is not of this shape, or too many rows are bad.
    """
    if set:
        root = root / set
        hub.fetch(f"{OWNER}/{set}", ["*.parquet"], root, progress)
    files = sorted(root.rglob("*.parquet"))
    if not files:
        raise CorpusError(f"{NAME}: {root} holds no Parquet file; {NAME}?set=InTheWild fetches one")
    reading = Reading(f"{NAME}-{root.name}", progress)
    for file in files:
        for number, row, sound in parquet.rows(file):
            try:
                trial = _trial(row, sound, reading.corpus)
            except (ValueError, KeyError, IndexError, TypeError) as error:
                reading.bad(file, number + 1, f"no row of path, audio, label (0, 1), notes: {error!r}")
                continue
            reading.add(trial, file, number + 1)
    reading.compare("all", reading.rows, PUBLISHED.get(root.name))
    return reading.finish()


def _trial(row: dict[str, Any], sound: str, corpus: str) -> Trial:
    if row["label"] not in (0, 1) or not sound:
        raise ValueError(f"label {row['label']!r}, audio {'present' if sound else 'missing'}")
    label = LABELS[row["label"]]
    notes = json.loads(row.get("notes") or "{}")
    known = {key: str(value) for key, value in notes.items() if value not in (None, "", "-")}
    return Trial(
        id=known.get("utterance_id") or row["path"],
        audio=sound,
        label=label,
        system=known.get("attack_id", "unknown") if label == "spoof" else "",
        speaker=known.get("speaker_id", ""),
        language=known.get("language", ""),
        codec=known.get("codec", ""),
        split="test",
        corpus=corpus,
        source=OWNER,
    )
