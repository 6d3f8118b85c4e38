"""M-AILABS on disk -> Trials: the human recordings of audio books whose sentences MLAAD's systems speak.

Layout: ``<locale>/by_book/<gender>/<reader>/<book>/wavs/*.wav`` (no reader below ``mix``), with a ``metadata.csv``
``name|text|normalised text`` beside ``wavs``. A recording's path is what MLAAD calls ``original_file``, so that both
are the same source utterance and can never fall on different sides of a split.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora import mlaad
from ringtrue.data.corpora.rows import Progress, Reading, read_text
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAME = "m-ailabs"


def read(root: Path, progress: Progress, paired: str = "") -> list[Trial]:
    """Read the books of every locale.

    Args:
        root: Folder of the locales (``en_US``, ``de_DE`` …).
        progress: Takes one line for each bad row.
        paired: Folder of MLAAD; only the recordings that it names as originals are kept, each once.

    Returns:
        The trials, without splits.

    Raises:
        CorpusError: There are no books, no original of `paired` is here, or too many rows are bad.
    """
    depths = ("*/*", "*/*/*")  # mix/<book>, and <gender>/<reader>/<book>
    books = sorted({path.parent for depth in depths for path in root.glob(f"*/by_book/{depth}/wavs")})
    if not books:
        raise CorpusError(f"{NAME}: {root} holds no <locale>/by_book/<gender>/<reader>/<book>/wavs")
    wanted = {trial.source_utterance for trial in mlaad.read(Path(paired), progress)} if paired else None
    reading = Reading(NAME, progress)
    for book in books:
        _read_book(root, book, wanted, reading)
    trials = reading.finish()
    if wanted is not None:
        absent = len(wanted - {trial.source_utterance for trial in trials} - {""})
        progress(f"{NAME}: {len(trials)} originals of {paired}; {absent} that it names are not here")
    return trials


def _read_book(root: Path, book: Path, wanted: set[str] | None, reading: Reading) -> None:
    place = book.relative_to(root).parts  # locale, by_book, gender[, reader], book
    table = book / "metadata.csv"
    for line, text in enumerate(read_text(table).split("\n"), 1):
        if not text.strip():
            continue
        cells = text.rstrip("\r").split("|")
        if len(cells) not in (2, 3):
            reading.bad(table, line, f"{len(cells)} cells parted by '|'; accepted: 2 or 3")
            continue
        name = "/".join((*place, "wavs", f"{cells[0]}.wav"))
        if wanted is not None and name not in wanted:
            continue
        trial = Trial(
            id=name,
            audio=str(root / name),
            label="bonafide",
            speaker="" if place[2] == "mix" else f"{place[0]}/{place[3]}",
            language=place[0].partition("_")[0],
            transcript=cells[-1],
            source_utterance=name,
            corpus=NAME,
            source="https://www.caito.de/2019/01/03/the-m-ailabs-speech-dataset/",
            licence="M-AILABS licence",
        )
        reading.add(trial, table, line)
