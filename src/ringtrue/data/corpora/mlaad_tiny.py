"""MLAAD-tiny on disk or on the hub -> Trials: 64 speech synthesisers and the human recordings of the same texts.

Layout: ``original/<language>/<clip>.wav`` and ``fake/<language>/<system>/<clip>.wav``; a fake has the base name of the
recording whose text it speaks. Müller et al., "MLAAD: The Multi-Language Audio Anti-Spoofing Dataset", 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ringtrue.data.splits import assign_splits
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError, require

_REPOSITORY = "mueller91/MLAAD-tiny"
_LICENCE = "CC-BY-NC-4.0 (fake), M-AILABS licence (original)"


def fetch(root: Path, progress: Callable[[str], None]) -> list[Trial]:
    """Download what is missing from the hub, then read it.

    Args:
        root: Folder to keep it in.
        progress: Takes one line.

    Returns:
        The trials; see `read`.

    Raises:
        CorpusError: The hub cannot be reached, or asks for a login.
        MissingExtraError: huggingface_hub is absent.
    """
    hub = require("huggingface_hub", "hub")
    progress(f"mlaad-tiny: fetching {_REPOSITORY} into {root} (about 4 GB; goes on where it stopped)")
    try:
        hub.snapshot_download(
            _REPOSITORY,
            repo_type="dataset",
            local_dir=root,
            allow_patterns=["original/**/*.wav", "fake/**/*.wav"],
        )
    except Exception as error:  # the hub's and the network's exceptions share no root
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CorpusError(
            f"{_REPOSITORY} cannot be fetched ({reason}). Check the network; if the hub asks for a login, accept "
            "the terms on its page and set HF_TOKEN. A copy on disk works without: give its folder as the corpus"
        ) from error
    return read(root)


def read(root: Path) -> list[Trial]:
    """Read a local copy and split it.

    Args:
        root: Folder that holds ``original`` and ``fake``.

    Returns:
        The trials with splits by `assign_splits`.

    Raises:
        CorpusError: One of the two folders is missing or empty.
    """
    trials = [_trial(root, path) for path in sorted((root / "original").glob("*/*.wav"))]
    originals = len(trials)
    trials += [_trial(root, path, path.parent.name) for path in sorted((root / "fake").glob("*/*/*.wav"))]
    if not originals or originals == len(trials):
        raise CorpusError(
            f"{root} holds {originals} human and {len(trials) - originals} machine clips; MLAAD-tiny has "
            "original/<language>/*.wav and fake/<language>/<system>/*.wav"
        )
    return assign_splits(trials)


def _trial(root: Path, path: Path, system: str = "") -> Trial:
    name = path.relative_to(root).as_posix()
    language = name.split("/")[1]
    return Trial(
        id=name,
        audio=str(path),
        label="spoof" if system else "bonafide",
        system=system,
        language=language,
        source_utterance=f"{language}/{path.stem}",
        corpus="mlaad-tiny",
        source=_REPOSITORY,
        licence=_LICENCE,
    )
