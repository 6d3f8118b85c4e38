"""ASVspoof 2019 Logical Access on disk -> Trials in the official train, development and evaluation sets.

The evaluation set is our ``test``: its speakers are unseen and so are its attacks by name, but A16 is the
algorithm of A04 and A19 that of A06. Wang et al., "ASVspoof 2019", Computer Speech & Language 64, 2020.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, find_folder, label_of, protocol_rows
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAME = "asvspoof2019-la"
SETS = {"train": ("train", "trn"), "dev": ("dev", "trl"), "test": ("eval", "trl")}  # ours: theirs, file type
PUBLISHED = {
    "train bonafide": 2_580,
    "train spoof": 22_800,
    "dev bonafide": 2_548,
    "dev spoof": 22_296,
    "test bonafide": 7_355,
    "test spoof": 63_882,
}
_PROTOCOLS = "ASVspoof2019_LA_cm_protocols"


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read the sets that are there.

    Args:
        root: The folder ``LA`` of the official archive, or the one around it.
        progress: Takes one line for each bad row, and for each set that is missing.

    Returns:
        The trials.

    Raises:
        CorpusError: It is not this corpus, no set has its recordings, or too many rows are bad.
    """
    root = find_folder(root, _PROTOCOLS, NAME)
    reading = Reading(NAME, progress)
    there = [
        split for split, (name, _) in SETS.items() if (root / f"ASVspoof2019_LA_{name}" / "flac").is_dir()
    ]
    for split in sorted({*SETS} - {*there}):
        progress(f"{NAME}: {root} lacks ASVspoof2019_LA_{SETS[split][0]}/flac; that set is left out")
    if not there:
        raise CorpusError(
            f"{root} has the protocols of {NAME} and none of its ASVspoof2019_LA_*/flac folders"
        )
    for split in there:
        name, kind = SETS[split]
        protocol = root / _PROTOCOLS / f"ASVspoof2019.LA.cm.{name}.{kind}.txt"
        read_protocol(protocol, root / f"ASVspoof2019_LA_{name}" / "flac", split, reading)
    return reading.finish({what: count for what, count in PUBLISHED.items() if what.split()[0] in there})


def read_protocol(protocol: Path, audio: Path, split: str, reading: Reading) -> None:
    """Read one countermeasure protocol: ``SPEAKER FILE - SYSTEM KEY``, no header.

    Args:
        protocol: The file.
        audio: Folder of its FLAC files.
        split: Our split.
        reading: Takes the trials and the bad rows.
    """
    for line, (speaker, name, _, system, key) in protocol_rows(protocol, (5,), reading):
        try:
            label = label_of(key)
        except ValueError as error:
            reading.bad(protocol, line, error)
            continue
        trial = Trial(
            id=name,
            audio=f"{audio}/{name}.flac",
            label=label,
            system=system if label == "spoof" else "",
            speaker=speaker,
            language="en",
            split=split,
            corpus=NAME,
            source="https://datashare.ed.ac.uk/handle/10283/3336",
            licence="ODC-By 1.0",
        )
        reading.add(trial, protocol, line)
