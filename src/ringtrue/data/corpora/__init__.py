"""A corpus's name, manifest or folder -> validated Trials; one file per corpus, one registry."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from pathlib import Path

from ringtrue.data import labels
from ringtrue.data.corpora import folder, hub, index, mlaad_tiny, table
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.data.corpora.registry import CORPORA, Corpus
from ringtrue.data.corpora.rows import Progress, verifying
from ringtrue.data.corpora.sound import audio_source, load_piece, load_samples
from ringtrue.data.splits import assign_splits
from ringtrue.data.trials import Trial, is_manifest, validate
from ringtrue.errors import CorpusError
from ringtrue.files import cache_dir

__all__ = [
    "CORPORA", "SYNTAX", "Corpus", "audio_source", "load_corpus", "load_piece", "load_samples", "prepare_corpus",
]  # fmt: skip

MANIFEST = "manifest.tsv"
SYNTAX = "NAME[:FOLDER][?OPTION=VALUE[&OPTION=VALUE]], a manifest, a table or a folder; join several with +"


def load_corpus(source: str | Path, progress: Progress = lambda line: None) -> list[Trial]:
    """Read a corpus, building or fetching it first where its name says how.

    Args:
        source: A name in `CORPORA`, where needed with the folder that holds it and options: ``mlaad:/data/MLAAD``,
            ``mlaad-hub?languages=en,de``; ``verify=yes`` decodes every recording and takes a damaged one for a bad row.
            Or a manifest (.tsv), another table (.csv, .parquet), or a folder: one with
            a manifest, one laid out like MLAAD-tiny (``original``, ``fake``), or one with ``bonafide`` and ``spoof``.
            Several are joined with ``+``: ``mlaad:/data/MLAAD+m-ailabs:/data/M-AILABS``.
        progress: Takes one line now and then, and one for each bad row.

    Returns:
        Validated trials. A corpus that comes with splits keeps them; the others are split together, by stable
        hashes of systems, speakers and source utterances, so that no pair is torn apart.

    Raises:
        CorpusError: There is no such corpus, it cannot be had, or it is malformed.
    """
    source = str(source)
    roots = _roots(source)
    if roots is None:
        return _load(source, progress, preparing=False)
    return index.recall(source, roots, progress, lambda tell: _load(source, tell, preparing=False))


def prepare_corpus(source: str | Path, progress: Progress = lambda line: None) -> list[Trial]:
    """Do what must be done once before a corpus is used: build it, fetch it, write what it lacks.

    Args:
        source: As for `load_corpus`.
        progress: As for `load_corpus`.

    Returns:
        The trials, as `load_corpus` gives them.

    Raises:
        CorpusError: As for `load_corpus`.
    """
    return _load(str(source), progress, preparing=True)


def _parts(source: str) -> list[str]:
    names = "|".join(sorted(map(re.escape, CORPORA), key=len, reverse=True))
    return re.split(rf"\+(?=(?:{names})(?:[:?+]|$))", source)


def _roots(source: str) -> list[Path] | None:
    """List the places that a corpus is read from; None if it is built, and looks after itself."""
    roots = []
    for part in _parts(source):
        name, root, options = _parse(part)
        if name not in CORPORA:
            roots.append(Path(part))
        elif CORPORA[name].is_built:
            return None
        else:
            roots.append(root or cache_dir() / "corpora" / name)
            roots += [Path(value) for value in options.values() if Path(value).exists()]
    return roots


def _load(source: str, progress: Progress, *, preparing: bool) -> list[Trial]:
    parts = [_read(part, progress, preparing=preparing) for part in _parts(source)]
    if len(parts) > 1:  # an id is unique in its corpus only
        parts = [[replace(trial, id=f"{trial.corpus}/{trial.id}") for trial in part] for part in parts]
    trials = [trial for part in parts if any(t.split for t in part) for trial in part]
    unsplit = [trial for part in parts if not any(t.split for t in part) for trial in part]
    if unsplit:
        placed = assign_splits(unsplit)
        progress(
            f"{source}: split by stable hashes of systems, speakers and texts; {len(unsplit) - len(placed):,} of "
            f"{len(unsplit):,} trials would leak between the sides and are left out"
        )
        trials += placed
    validate(trials, source)
    return labels.complete(trials, progress)


def _read(source: str, progress: Progress, *, preparing: bool) -> list[Trial]:
    name, root, options = _parse(source)
    before = verifying.set(hub.is_yes(name, "verify", options.pop("verify", "")))
    try:
        return _read_part(source, name, root, options, progress, preparing=preparing)
    finally:
        verifying.reset(before)


def _read_part(
    source: str,
    name: str,
    root: Path | None,
    options: dict[str, str],
    progress: Progress,
    *,
    preparing: bool,
) -> list[Trial]:
    if name in CORPORA:
        corpus = CORPORA[name]
        if unknown := sorted(set(options) - set(corpus.options)):
            raise CorpusError(
                f"{name} takes no option {unknown}; accepted: {', '.join(corpus.options) or 'none'}"
            )
        if corpus.is_local and (root is None or not root.exists()):
            given = f"{root} does not exist" if root else "its folder is not named"
            raise CorpusError(
                f"{name}: {given}; write {name}:FOLDER. It needs {corpus.needs}. It comes from {corpus.origin}"
            )
        get = corpus.prepare if preparing and corpus.prepare else corpus.get
        return get(root or cache_dir() / "corpora" / name, progress, **options)
    path = Path(source.partition("?")[0] if "verify=" in source else source)
    if path.is_file():
        return read_manifest(path, progress) if is_manifest(path) else table.read(path, progress)
    if path.is_dir():
        return _read_folder(path, progress)
    close = difflib.get_close_matches(name, CORPORA, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise CorpusError(f"no corpus {source!r}; {hint}Accepted: {SYNTAX}. Names: {', '.join(CORPORA)}")


def _parse(source: str) -> tuple[str, Path | None, dict[str, str]]:
    """Take ``NAME[:FOLDER][?OPTION=VALUE…]`` apart."""
    address, _, query = source.partition("?")
    name, _, root = address.partition(":")
    options = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    return name, Path(root).expanduser() if root else None, options


def _read_folder(root: Path, progress: Progress) -> list[Trial]:
    if (root / MANIFEST).is_file():
        return read_manifest(root / MANIFEST, progress)
    if (root / "original").is_dir() and (root / "fake").is_dir():
        return mlaad_tiny.read(root, progress)
    return folder.read(root, progress)
