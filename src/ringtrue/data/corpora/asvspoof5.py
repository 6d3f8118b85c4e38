"""ASVspoof 5 on disk -> Trials in the official training, development and evaluation sets (track 1).

Its attacks are called A01 to A32 like others' before: here ``asvspoof5-A01`` …, so that corpora can be mixed.
Wang et al., "ASVspoof 5: Crowdsourced speech data, deepfakes, and adversarial attacks at scale", 2024.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, label_of, protocol_rows
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAME = "asvspoof5"
PUBLISHED = {"train": 182_357, "dev": 140_950, "test": 680_774}
_PROTOCOLS = {  # the final release, and the challenge's
    "train": ("ASVspoof5.train.tsv", "ASVspoof5.train.metadata.txt"),
    "dev": ("ASVspoof5.dev.track_1.tsv", "ASVspoof5.dev.metadata.txt"),
    "test": ("ASVspoof5.eval.track_1.tsv",),
}
_AUDIO = {"train": "flac_T", "dev": "flac_D", "test": "flac_E_eval"}


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read the sets whose protocol and recordings are there.

    Args:
        root: Folder with ``flac_T``, ``flac_D``, ``flac_E_eval`` and the protocols, here or one folder down.
        progress: Takes one line for each bad row, and for each set that is missing.

    Returns:
        The trials.

    Raises:
        CorpusError: No set is complete, or too many rows are bad.
    """
    reading = Reading(NAME, progress)
    complete = []
    for split, names in _PROTOCOLS.items():
        protocols = [path for name in names for path in (*root.glob(name), *root.glob(f"*/{name}"))]
        audio = root / _AUDIO[split]
        if (audio / audio.name).is_dir():  # the archives unpack into a folder of their own name
            audio /= audio.name
        if protocols and audio.is_dir():
            complete.append(split)
            read_protocol(protocols[0], audio, split, reading)
        else:
            progress(f"{NAME}: {root} lacks {names[0]} or {_AUDIO[split]}; that set is left out")
    if not complete:
        raise CorpusError(
            f"{NAME}: {root} needs one of {', '.join(_AUDIO.values())} and its protocol, such as ASVspoof5.train.tsv"
        )
    return reading.finish({split: PUBLISHED[split] for split in complete})


def read_protocol(protocol: Path, audio: Path, split: str, reading: Reading) -> None:
    """Read one protocol; named ``.tsv`` and yet parted by spaces, no header.

    Args:
        protocol: Ten columns ``speaker file gender codec codec_quality codec_seed attack_tag attack key -``, or the
            challenge's six, ``speaker file gender codec attack key``.
        audio: Folder of its FLAC files.
        split: Our split.
        reading: Takes the trials and the bad rows.
    """
    for line, cells in protocol_rows(protocol, (10, 6), reading):
        speaker, name, _, codec = cells[:4]
        attack, key = cells[7:9] if len(cells) == 10 else cells[4:6]
        seed = cells[5] if len(cells) == 10 else "-"
        try:
            label = label_of(key)
        except ValueError as error:
            reading.bad(protocol, line, error)
            continue
        trial = Trial(
            id=name,
            audio=f"{audio}/{name}.flac",
            label=label,
            system=f"{NAME}-{attack}" if label == "spoof" else "",
            speaker=speaker,
            language="en",
            source_utterance=name if seed == "-" else seed,  # copies through codecs stay with their original
            codec="" if codec == "-" else codec,
            split=split,
            corpus=NAME,
            source="https://zenodo.org/records/14498691",
            licence="ODC-By 1.0 (bona fide CC BY 4.0)",
        )
        reading.add(trial, protocol, line)
