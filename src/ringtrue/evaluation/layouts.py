"""The header or the first row of a table -> what each column is.

Known are tables with a header (tab, comma or blanks between cells), Parquet, and these without a header::

    trial score                                   ASVspoof 2021, arena scores.txt
    trial score label  |  trial label score       Codecfake and others
    trial system label score                      ASVspoof 2019 (AASIST and its kin)
    speaker trial score label                     ASVspoof 5 evaluation package
    trial label                                   a plain key
    speaker trial environment system label        ASVspoof 2019 protocol
    speaker trial codec transmission system label trim subset          ASVspoof 2021 LA key
    speaker trial codec source system label trim subset vocoder ...    ASVspoof 2021 DF key (13 cells)
    speaker trial gender codec codec_q codec_seed attack_tag system label other   ASVspoof 5 protocol

A layout is taken only where exactly one fits: the score must be a number, the label a word for a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ringtrue.errors import ScoresError

SPELLINGS = {
    "bonafide": {"bonafide", "bona-fide", "bona_fide", "bona fide", "real", "human", "genuine"},
    "spoof": {"spoof", "fake", "spoofed", "synthetic", "deepfake", "machine"},
}
"""Words for the two labels that other people use; only the first of each is accepted without being told."""

LAYOUT_OF_VERIFIER = {"trial": "1", "verifier_key": "2", "score": "3"}
"""The columns of a speaker verifier's scores, as ASVspoof 2019 gives them: ``attack key score``."""

_ALIASES = {
    "trial": "trial utterance utt utt_id utterance_id trial_id trial_anon file filename file_name flac_file_name "
    "path audio_path id name",
    "label": "label key cm-label cm_label class",
    "score": "score cm-score cm_score llr",
    "system": "system attack attack_id attack_label attack_anon system_id",
    "speaker": "speaker speaker_id spk",
    "language": "language lang",
    "codec": "codec codec_id compression",
}
ROLE_OF = {alias: role for role, aliases in _ALIASES.items() for alias in aliases.split()}
_LAYOUTS = [
    layout.split()
    for layout in (
        "trial score",
        "trial label",
        "trial score label",
        "trial label score",
        "trial system label score",
        "speaker trial score label",
        "speaker trial environment system label",
        "speaker trial codec transmission system label trim subset",
        "speaker trial codec source system label trim subset vocoder task team gender_pair language",
        "speaker trial gender codec codec_q codec_seed attack_tag system label other",
    )
]
_LABEL_CELLS = {*SPELLINGS["bonafide"], *SPELLINGS["spoof"], "0", "1"}


def is_header(cells: Sequence[str], columns: Mapping[str, str] | None = None) -> bool:
    """Tell a header from a row: it has a name that is known, or one that was named, and no number.

    Args:
        cells: The first row of a table.
        columns: Which columns were said to play which role.

    Returns:
        Whether it is a header.
    """
    if any(name in cells for name in (columns or {}).values() if not name.isdigit()):
        return True
    return any(cell.strip().lower() in ROLE_OF for cell in cells) and not any(map(is_number, cells))


def name_header(
    path: Path, number: int, cells: Sequence[str], needs: Sequence[str], columns: Mapping[str, str]
) -> list[str]:
    """Give the columns of a header their canonical names.

    Args:
        path: The file, for the message.
        number: The header's line.
        cells: The header.
        needs: What it must have.
        columns: Which columns were said to play which role.

    Returns:
        A name for each column; those that are not known keep their own.

    Raises:
        ScoresError: A name occurs twice, something is lacking, or two columns could be one role.
    """
    own = [cell.strip() for cell in cells]
    where = f"{path}, line {number}: the columns are {own}"
    if len(set(own)) < len(own):
        raise ScoresError(f"{where}; a name occurs twice")
    names = list(own)
    for role in _ALIASES:
        if role in columns:
            if columns[role] not in own:
                raise ScoresError(f"{where}; none is called {columns[role]!r}")
            names[own.index(columns[role])] = role
            continue
        found = [name for name in own if ROLE_OF.get(name.lower()) == role]
        exact = [name for name in found if name.lower() == role]
        if len(found) > 1 and not exact and role in needs:
            raise ScoresError(
                f"{where}; {' and '.join(found)} could each be the {role}: say --column {role}=NAME"
            )
        for name in (exact or found)[:1]:
            names[own.index(name)] = role
    return require_columns(names, needs, where)


def name_layout(
    path: Path, number: int, cells: Sequence[str], needs: Sequence[str], columns: Mapping[str, str]
) -> list[str]:
    """Find the one known layout without a header that a row fits.

    Args:
        path: The file, for the message.
        number: The row's line.
        cells: The row.
        needs: What the layout must have.
        columns: Which columns, numbered from ``"1"``, were said to play which role.

    Returns:
        A name for each column.

    Raises:
        ScoresError: No layout fits, or two do, or something is lacking.
    """
    where = f"{path}, line {number}: the columns are {list(cells)[:14]}"
    if columns:
        names = [f"column{place}" for place in range(1, len(cells) + 1)]
        for role, place in columns.items():
            if not place.isdigit() or not 1 <= int(place) <= len(cells):
                raise ScoresError(
                    f"{where}, without a header; --column {role}={place} must be a number of one"
                )
            names[int(place) - 1] = role
        return require_columns(names, needs, where)

    def fits(layout: Sequence[str]) -> bool:
        return len(layout) == len(cells) and all(
            (name != "score" or is_number(cell)) and (name != "label" or cell.lower() in _LABEL_CELLS)
            for name, cell in zip(layout, cells, strict=True)
        )

    fitting = [layout for layout in _LAYOUTS if fits(layout)]
    wanted = [layout for layout in fitting if set(needs) <= set(layout)]
    if len(wanted) > 1:
        raise ScoresError(
            f"{where}, without a header, and could be {' or '.join(map(' '.join, wanted))}; "
            "write a header, or say --column trial=1 and so on"
        )
    if wanted:
        return wanted[0]
    if fitting:
        return require_columns(fitting[0], needs, where)
    raise ScoresError(
        f"{where}; that is neither a header with {', '.join(needs)} nor a layout that is known without one. "
        f"Write a header that starts {' '.join(needs)}, or say --column trial=1 and so on"
    )


def require_columns(names: list[str], needs: Sequence[str], where: str) -> list[str]:
    """Refuse a table that lacks a column.

    Args:
        names: What it has.
        needs: What it must have.
        where: How the message begins.

    Returns:
        `names`.

    Raises:
        ScoresError: Something is lacking.
    """
    if missing := [name for name in needs if name not in names]:
        remedy = (
            "a key file with --key brings labels" if missing == ["label"] else "rename one, or say --column"
        )
        raise ScoresError(f"{where}; it lacks {', '.join(missing)}: {remedy}")
    return names


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number, NaN and infinity among them.

    Args:
        cell: Its text.

    Returns:
        Whether it does.
    """
    try:
        float(cell)
    except ValueError:
        return False
    return True
