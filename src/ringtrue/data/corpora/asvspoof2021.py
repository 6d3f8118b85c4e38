"""ASVspoof 2021 LA and DF on disk -> Trials: 2019's attacks over telephone lines and through lossy codecs.

There is no training set: train on 2019 LA. The official figures are over the ``eval`` subset, our ``test``;
``progress`` and ``hidden`` trials get no split. Liu et al., "ASVspoof 2021", IEEE/ACM TASLP 31, 2023.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, label_of, protocol_rows
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

PUBLISHED = {"LA": {"all": 181_566}, "DF": {"all": 611_829}}
_COLUMNS = {"LA": 8, "DF": 13}
_UNCODED = ("none", "nocodec", "-")


def read_la(root: Path, progress: Progress) -> list[Trial]:
    """Read the logical access task; see `read`."""
    return read("LA", root, progress)


def read_df(root: Path, progress: Progress) -> list[Trial]:
    """Read the deepfake task; see `read`."""
    return read("DF", root, progress)


def read(task: str, root: Path, progress: Progress) -> list[Trial]:
    """Read one task.

    Args:
        task: ``"LA"`` or ``"DF"``.
        root: Folder with the unpacked keys (``keys/LA/CM/trial_metadata.txt``) and the FLAC files
            (``ASVspoof2021_LA_eval/flac``; for DF in one folder or in ``part00`` … ``part03``).
        progress: Takes one line for each bad row.

    Returns:
        The trials.

    Raises:
        CorpusError: Keys or recordings are missing, or too many rows are bad.
    """
    name = f"asvspoof2021-{task.lower()}"
    inner = f"{task}/CM/trial_metadata.txt"
    keys = [*root.glob(inner), *root.glob(f"*/{inner}"), *root.glob(f"*/*/{inner}")]
    folders = [
        path
        for depth in ("", "*/", "*/*/")
        for path in sorted(root.glob(f"{depth}ASVspoof2021_{task}_eval*/flac"))
    ]
    if not keys or not folders:
        raise CorpusError(
            f"{name}: {root} needs keys/{inner} (from {task}-keys-full.tar.gz) and ASVspoof2021_{task}_eval/flac; "
            f"found {len(keys)} of the first and {len(folders)} of the second"
        )
    reading = Reading(name, progress)
    read_keys(task, keys[0], folders, reading)
    return reading.finish(PUBLISHED[task])


def read_keys(task: str, keys: Path, folders: Iterable[Path], reading: Reading) -> None:
    """Read the key file, one trial a row, without a header.

    Args:
        task: ``"LA"``: ``speaker trial codec transmission attack label trim subset``; ``"DF"``: ``speaker trial
            compression source attack label trim subset vocoder task team gender-pair language``.
        keys: The file ``trial_metadata.txt``.
        folders: Where the FLAC files may lie.
        reading: Takes the trials and the bad rows.
    """
    folders = list(folders)
    for line, cells in protocol_rows(keys, (_COLUMNS[task],), reading):
        speaker, name, codec, source, attack, key, _, subset = cells[:8]
        try:
            label = label_of(key)
        except ValueError as error:
            reading.bad(keys, line, error)
            continue
        places = [f"{folder}/{name}.flac" for folder in folders]
        own_attack = task == "LA" or source == "asvspoof"  # the others name vocoders only by their kind
        vocoder = "" if own_attack or label == "bonafide" or cells[8] == "unknown" else cells[8]
        trial = Trial(
            id=name,
            audio=next((place for place in places[1:] if reading.has(place)), places[0]),
            label=label,
            system="" if label == "bonafide" else attack if own_attack else f"{source}-{attack}",
            vocoder=vocoder,
            speaker=speaker,
            language="en" if own_attack else "",
            codec="" if codec in _UNCODED else codec,
            split="test" if subset == "eval" else "",
            corpus=reading.corpus,
            source="https://www.asvspoof.org",
            licence="ODC-By 1.0",
        )
        reading.add(trial, keys, line)
