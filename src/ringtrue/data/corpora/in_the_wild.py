"""In-the-Wild on disk -> Trials: public figures and their deepfakes from the web; all of it tests.

Müller et al., "Does audio deepfake detection generalize?", Interspeech 2022, arXiv:2203.16263.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, find_folder, label_of, table_rows
from ringtrue.data.trials import Trial

NAME = "in-the-wild"
PUBLISHED = {"all": 31_779, "test bonafide": 19_963, "test spoof": 11_816}


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read the release.

    Args:
        root: Folder with ``meta.csv`` (``file,speaker,label``) and the WAV files, or the one around it.
        progress: Takes one line for each bad row.

    Returns:
        The trials. Who or what made a fake is not known.

    Raises:
        CorpusError: It is not this corpus, or too many rows are bad.
    """
    root = find_folder(root, "meta.csv", NAME)
    reading = Reading(NAME, progress)
    for line, row in table_rows(root / "meta.csv", {"file", "speaker", "label"}, reading, delimiters=","):
        try:
            label = label_of(row["label"])
        except ValueError as error:
            reading.bad(root / "meta.csv", line, error)
            continue
        trial = Trial(
            id=row["file"],
            audio=str(root / row["file"]),
            label=label,
            system="unknown" if label == "spoof" else "",
            speaker=row["speaker"],
            language="en",
            split="test",
            corpus=NAME,
            source="https://deepfake-total.com/in_the_wild",
            licence="Apache-2.0 by some, CC BY-SA 4.0 by others",
        )
        reading.add(trial, root / "meta.csv", line)
    return reading.finish(PUBLISHED)
