"""Codecfake on disk -> Trials: VCTK and AISHELL-3 through seven neural codecs, and audio language models.

The file name's prefix ``F01`` … is the codec: here the system ``codecfake-F01``. Xie et al., "The Codecfake dataset
and countermeasures for the universally detection of deepfake audio", 2024, arXiv:2405.04880.
"""

from __future__ import annotations

import re
from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, find_folder, label_of, protocol_rows
from ringtrue.data.trials import Trial

NAME = "codecfake"
PUBLISHED = {  # recordings of each list
    "train": 740_747, "dev": 92_596, **dict.fromkeys(("C1", "C2", "C3", "C4", "C5", "C6"), 26_456), "C7": 145_505,
    "A1": 8_902, "A2": 8_902, "A3": 99_112,
}  # fmt: skip
_SPLITS = {"train": "train", "dev": "dev"}  # every other list tests
_NAME = re.compile(r"(?:(?P<codec>[FL]\d+)_)?(?P<source>(?P<speaker>p\d+|s5|SSB\d{4})?.*)")


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read the lists in ``label`` whose recordings are there.

    Args:
        root: Folder that holds ``label/*.txt``, ``train``, ``dev`` and ``test/C1`` …, or the one around it.
        progress: Takes one line for each bad row, and for each list without recordings.

    Returns:
        The trials.

    Raises:
        CorpusError: It is not this corpus, or too many rows are bad.
    """
    root = find_folder(root, "label", NAME)
    reading = Reading(NAME, progress)
    for table in sorted((root / "label").glob("*.txt")):
        name = table.stem
        folder = next((path for path in (root / name, root / "test" / name) if path.is_dir()), None)
        if folder is None:
            progress(f"{NAME}: {table.name} has no folder {name} or test/{name}; that list is left out")
            continue
        before = reading.rows
        for line, cells in protocol_rows(table, (2, 3), reading):
            _read_row(folder, name, cells, reading, table, line)
        reading.compare(name, reading.rows - before, PUBLISHED.get(name))
    return reading.finish()


def _read_row(folder: Path, part: str, cells: list[str], reading: Reading, table: Path, line: int) -> None:
    """Read ``FILE … LABEL``; versions of the lists differ in a column after the label."""
    labels = [cell for cell in cells[1:] if cell in ("real", "fake")]
    if len(labels) != 1:
        reading.bad(table, line, f"{cells}: one cell must be real or fake")
        return
    label, stem = label_of(labels[0]), cells[0].removesuffix(".wav")
    match = _NAME.fullmatch(stem)
    assert match is not None, "every part of the pattern may be empty"
    known = label == "spoof" and match["codec"]
    trial = Trial(
        id=f"{part}/{stem}",
        audio=str(folder / f"{stem}.wav"),
        label=label,
        system="" if label == "bonafide" else f"{NAME}-{match['codec'] if known else part}",
        acoustic_model="none" if known else "",
        speaker=match["speaker"] or "",
        language={"p": "en", "s": "en", "S": "zh"}.get((match["speaker"] or " ")[0], ""),
        source_utterance=match["source"] if match["speaker"] else "",
        split=_SPLITS.get(part, "test"),
        corpus=NAME,
        source="https://zenodo.org/records/13838106",
        licence="CC BY-NC-ND 4.0",
    )
    reading.add(trial, table, line)
