"""LibriSpeech, in folders or as the hub's Parquet files -> Trials: human readers of public-domain books, 16 kHz.

Training subsets are ours by the same names, ``dev-*`` (``validation``) is ``dev`` and ``test-*`` is ``test``; no reader
is in two of them. Panayotov et al., "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora import hub, parquet, remote
from ringtrue.data.corpora.rows import Progress, Reading, read_text
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAME = "librispeech"
_REPOSITORY = "openslr/librispeech_asr"
_LICENCE = "CC-BY-4.0"
PUBLISHED = {  # subset: utterances, the hub's configuration and split, our split
    "train-clean-100": (28_539, "clean", "train.100", "train"),
    "train-clean-360": (104_014, "clean", "train.360", "train"),
    "train-other-500": (148_688, "other", "train.500", "train"),
    "dev-clean": (2_703, "clean", "validation", "dev"),
    "dev-other": (2_864, "other", "validation", "dev"),
    "test-clean": (2_620, "clean", "test", "test"),
    "test-other": (2_939, "other", "test", "test"),
}


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read the subsets that are in a folder.

    Args:
        root: The folder ``LibriSpeech`` of the archives or the one around it, or the hub's repository with its
            folders ``clean`` and ``other``, or ``all``, of Parquet files.
        progress: Takes one line for each bad row.

    Returns:
        The trials.

    Raises:
        CorpusError: No subset is there, or too many rows are bad.
        MissingExtraError: The files are Parquet and pyarrow is not installed.
    """
    reading = Reading(NAME, progress)
    there = []
    for subset, (count, config, hub_split, split) in PUBLISHED.items():
        before = reading.rows
        for folder in (root / subset, root / "LibriSpeech" / subset):
            _read_folder(folder, split, reading)
        shards = sorted((root / config).glob(f"{hub_split}-*.parquet"))
        for path in shards or sorted((root / "all").glob(f"{_in_all(subset)}-*.parquet")):
            _read_parquet(path, split, reading)
        if rows := reading.rows - before:
            there.append(subset)
            if rows != count:
                progress(
                    f"{NAME}: {rows:,} utterances of {subset} where {count:,} are published: a part of it"
                )
    if not there:
        raise CorpusError(
            f"{NAME}: {root} holds none of {', '.join(PUBLISHED)}, nor the hub's clean/*.parquet and other/*.parquet, "
            "or all/*.parquet"
        )
    return reading.finish()


def fetch(
    root: Path,
    progress: Progress,
    subsets: str = "train-clean-100,dev-clean,test-clean",
    stream: str = "",
) -> list[Trial]:
    """Fetch subsets from the hub as Parquet, then read what is there; or list them and leave the sound there.

    Args:
        root: Folder to keep them in.
        progress: Takes one line now and then.
        subsets: Their names, parted by commas. The three clean ones are about 7 GB.
        stream: ``yes`` to fetch who says what only; recordings then come from the hub when they are listened to.

    Returns:
        The trials.

    Raises:
        CorpusError: A name is wrong, or the hub cannot be reached.
    """
    wanted = [name.strip() for name in subsets.split(",") if name.strip()]
    if unknown := sorted(set(wanted) - set(PUBLISHED)):
        raise CorpusError(f"{NAME}: no subset {unknown}; accepted: {', '.join(PUBLISHED)}")
    patterns = [f"{PUBLISHED[name][1]}/{PUBLISHED[name][2]}-*.parquet" for name in wanted]
    if not hub.is_yes(NAME, "stream", stream):
        hub.fetch(_REPOSITORY, patterns, root, progress)
        return read(root, progress)
    reading = Reading(NAME, progress)
    revision, files = remote.listing(_REPOSITORY, patterns, progress)
    for file in files:
        split = next(
            PUBLISHED[name][3] for name in wanted if file.startswith("/".join(PUBLISHED[name][1:3]) + "-")
        )
        _read_parquet(remote.address(_REPOSITORY, revision, file), split, reading)
    return reading.finish()


def _in_all(subset: str) -> str:
    """Give the name of a subset in the hub's configuration that holds them all.

    >>> _in_all("train-other-500"), _in_all("dev-clean")
    ('train.other.500', 'validation.clean')
    """
    return subset.replace("-", ".").replace("dev.", "validation.")


def _read_folder(folder: Path, split: str, reading: Reading) -> None:
    """Read ``<speaker>/<chapter>/<speaker>-<chapter>.trans.txt`` and the FLAC files beside it."""
    for table in sorted(folder.glob("*/*/*.trans.txt")):
        for line, text in enumerate(read_text(table).split("\n"), 1):
            name, _, words = text.strip().partition(" ")
            if name:
                audio = str(table.parent / f"{name}.flac")
                reading.add(_trial(name, audio, table.parent.parent.name, words, split), table, line)


def _read_parquet(path: Path | str, split: str, reading: Reading) -> None:
    for number, row, sound in parquet.rows(path, ("id", "text", "speaker_id")):
        reading.add(
            _trial(row["id"], sound, str(row["speaker_id"]), row["text"], split), Path(path), number + 1
        )


def _trial(name: str, audio: str, speaker: str, words: str, split: str) -> Trial:
    return Trial(
        id=name,
        audio=audio,
        label="bonafide",
        speaker=f"librispeech-{speaker}",
        language="en",
        transcript=words,
        source_utterance=f"librispeech/{name}",
        split=split,
        corpus=NAME,
        source=_REPOSITORY,
        licence=_LICENCE,
    )
