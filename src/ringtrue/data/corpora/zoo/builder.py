"""A wish and a folder -> the zoo in it: people's recordings, and each said again by machines that are made here.

Every clip is written whole or not at all, so a build that is killed goes on where it stopped, and the manifest is
written last: where it is, the corpus is complete.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ringtrue import __version__
from ringtrue.data.corpora.building import claim, is_complete
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.data.corpora.starter.harmonise import codec_of
from ringtrue.data.corpora.starter.packages import one_at_a_time, readable_disk_errors
from ringtrue.data.corpora.zoo.copies import Copy, Copying, Made, Task
from ringtrue.data.corpora.zoo.methods import FAMILIES, METHODS, Method, draw
from ringtrue.data.corpora.zoo.neural import FAMILY as NEURAL
from ringtrue.data.corpora.zoo.neural import load_all, methods_of
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import CorpusError, require
from ringtrue.files import sha256_file, stable_int, sweep, write_json
from ringtrue.workers import Crew, one_thread_each

Progress = Callable[[str], None]

_VERSION = 1  # of the corpus: raise it when a change here makes other clips from the same seed
_OTHERS = 3  # recordings of a speaker that pieces are taken from
_TOLD = 100  # recordings between two lines of progress


@dataclass(frozen=True)
class Wish:
    """What zoo is wanted.

    Attributes:
        of: The corpus whose people speak, as `load_corpus` takes it.
        copies: Of each recording.
        seed: Draws methods, their settings, and the chain's codec and noise.
        dev: Families that say the dev split again and train nothing; with none, dev has no copies.
        test: Families that half of the copies of the test split are made by and that train nothing; the other half
            are `test_seen`, and with none all of them are.
        vocoders: Files that `ringtrue vocoder` wrote, for a family of their own, ``neural``.
    """

    of: str = "starter-full"
    copies: int = 7
    seed: int = 0
    dev: tuple[str, ...] = ("harmonic",)
    test: tuple[str, ...] = ("splicing",)
    vocoders: tuple[str, ...] = ()

    @property
    def methods(self) -> dict[str, Method]:
        """All methods, by name.

        Raises:
            CorpusError: There is no such vocoder.
        """
        return METHODS | methods_of(self.vocoders)

    @property
    def train(self) -> tuple[str, ...]:
        """Families that training hears."""
        families = (*FAMILIES, NEURAL) if self.vocoders else FAMILIES
        return tuple(name for name in families if name not in (*self.dev, *self.test))


def wish_of(options: Mapping[str, str]) -> Wish:
    """Read the options of ``zoo?…``.

    Args:
        options: Any of ``of``, ``copies``, ``seed``, ``dev``, ``test`` and ``vocoders``, as written.

    Returns:
        The wish.

    Raises:
        CorpusError: A value is not accepted; the message says what is.
    """
    vocoders = tuple(filter(None, options.get("vocoders", "").split(",")))
    families = (*FAMILIES, NEURAL) if vocoders else FAMILIES
    wish = Wish(
        of=options.get("of", Wish.of),
        copies=_number("copies", options.get("copies", str(Wish.copies)), 1, 100),
        seed=_number("seed", options.get("seed", str(Wish.seed)), 0, 2**63),
        dev=_families("dev", options.get("dev", ",".join(Wish.dev)), families),
        test=_families("test", options.get("test", ",".join(Wish.test)), families),
        vocoders=vocoders,
    )
    methods_of(vocoders)
    if not wish.of:
        raise CorpusError(
            "zoo: of= is empty; give NAME, NAME:FOLDER, NAME?OPTION=VALUE, a manifest, a table or a folder"
        )
    if shared := set(wish.dev) & set(wish.test):
        raise CorpusError(f"zoo: dev and test share {', '.join(sorted(shared))}; no family can be both")
    if not wish.train:
        raise CorpusError("zoo: dev and test take all families and leave none to train on")
    return wish


def build(wish: Wish, root: Path, workers: int, progress: Progress) -> list[Trial]:
    """Build a zoo, or finish one that was interrupted, or return one that is complete.

    A script that calls this needs the usual ``if __name__ == "__main__":``, since clips are made in
    processes of their own.

    Args:
        wish: What is wanted.
        root: Folder for the corpus: ``audio/``, ``provenance.json``, and last of all ``manifest.tsv``.
        workers: Processes to use; with 1 the work is done in this one.
        progress: Called with one line now and then, and one for what could not be made.

    Returns:
        The trials of the manifest.

    Raises:
        CorpusError: The folder holds something else, the people's corpus cannot be had, or nothing came of it.
        MissingExtraError: A method needs what is not installed; the message names the extra.
    """
    manifest = root / "manifest.tsv"
    identity: dict[str, object] = {"corpus": "zoo", "version": _VERSION, **_plain(wish)}
    with readable_disk_errors(root):
        claim(root, identity)
        with one_at_a_time(root, progress):
            if not is_complete(manifest):
                _build(wish, root, workers, progress)
            sweep(root, below=True)
    return read_manifest(manifest)


def _build(wish: Wish, root: Path, workers: int, progress: Progress) -> None:
    for module in sorted({method.needs for method in wish.methods.values()} - {""} | {"scipy"}):
        require(module, "probe")
    load_all(wish.vocoders)
    people = _people(wish.of, progress)
    planned = plan(people, wish, root)
    clips = sum(1 + len(task.copies) for task in planned.tasks)
    progress(
        f"zoo: {len(people)} recordings of {wish.of}, {clips} clips; of "
        f"{len(wish.methods)} methods in {len({m.family for m in wish.methods.values()})} families"
    )
    made: dict[str, Made] = {}
    results = _results(Copying(wish.seed, wish.vocoders), planned.tasks, workers)
    for number, (task, result) in enumerate(zip(planned.tasks, results, strict=True), 1):
        if result.disk_error:
            raise OSError(result.disk_error, os.strerror(result.disk_error))
        made[task.trial.id] = result
        if number % _TOLD == 0 or number == len(planned.tasks):
            progress(f"zoo: {number} of {len(planned.tasks)} recordings")
    missing = {name: reason for result in made.values() for name, reason in result.reasons.items()}
    for name, reason in missing.items():
        progress(f"zoo: going on without {name}: {reason}")
    trials = [
        replace(trial, duration_s=made[original].duration_s)
        for original, trial in planned.trials
        if made[original].duration_s and trial.id not in missing
    ]
    if not trials:
        raise CorpusError(f"zoo: nothing came of {wish.of}: {next(iter(missing.values()))}")
    write_json(root / "provenance.json", _provenance(wish, trials, missing))
    write_manifest(root / "manifest.tsv", trials)
    humans = sum(trial.is_bonafide for trial in trials)
    progress(f"the corpus is complete: {humans} bona fide and {len(trials) - humans} spoof clips in {root}")


@dataclass(frozen=True)
class Plan:
    """What is to be made.

    Attributes:
        tasks: One for each recording.
        trials: All trials of the corpus, each with the id of the recording it is made from, in the manifest's order.
    """

    tasks: list[Task]
    trials: list[tuple[str, Trial]]


def plan(people: Sequence[Trial], wish: Wish, root: Path) -> Plan:
    """Decide which method says which recording again.

    Args:
        people: Bona fide trials.
        wish: How many copies, by what.
        root: The corpus's folder.

    Returns:
        The same for the same people in any order.
    """
    voices: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in people:
        if trial.speaker:
            voices[trial.split, trial.speaker].append(trial)
    tasks, trials, methods = [], [], wish.methods
    for trial in sorted(people, key=lambda trial: trial.id):
        source, name = trial.source_utterance or trial.id, _file_name(trial.id)
        human = replace(
            trial,
            audio=f"audio/{trial.split or 'all'}/bonafide/{name}.flac",
            source_utterance=source,
            codec=codec_of(source, wish.seed),
            corpus="zoo",
        )
        trials.append((trial.id, human))
        copies = []
        for number in range(wish.copies):
            rng = np.random.default_rng(stable_int("zoo", wish.seed, trial.id, number))
            if (drawn := _drawn(trial.split, wish, methods, rng)) is None:
                break
            split, method = drawn
            again = replace(
                human,
                id=f"{trial.id}-{number}-{method}",
                audio=f"audio/{split or 'all'}/{method}/{name}-{number}.flac",
                label="spoof",
                system=method,
                acoustic_model="none",
                vocoder=method,
                split=split,
                source="zoo",
            )
            trials.append((trial.id, again))
            copies.append(Copy(again.id, method, root / again.audio))
        others = _others(trial, voices[trial.split, trial.speaker], wish.seed)
        tasks.append(Task(trial, source, root / human.audio, tuple(copies), others))
    return Plan(tasks, trials)


def _others(trial: Trial, voice: Sequence[Trial], seed: int) -> tuple[Trial, ...]:
    """Choose other recordings of a speaker, always the same."""
    others = [other for other in voice if other.id != trial.id]
    return tuple(sorted(others, key=lambda other: stable_int("other", seed, trial.id, other.id))[:_OTHERS])


def _drawn(
    split: str, wish: Wish, methods: Mapping[str, Method], rng: np.random.Generator
) -> tuple[str, str] | None:
    """Draw the split and the method of a copy of a recording in a split; None where there is no copy."""
    if split == "dev":
        return ("dev", draw(rng, wish.dev, methods)) if wish.dev else None
    if split == "test" and wish.test and rng.integers(2):
        return "test", draw(rng, wish.test, methods)
    return "test_seen" if split == "test" else split, draw(rng, wish.train, methods)


def _people(source: str, progress: Progress) -> list[Trial]:
    from ringtrue.data.corpora import load_corpus

    people = [trial for trial in load_corpus(source, progress) if trial.is_bonafide]
    if not people:
        raise CorpusError(f"zoo: {source} holds no bona fide trials, and there is nobody to copy")
    return people


def _results(job: Copying, tasks: Sequence[Task], workers: int) -> Iterator[Made]:
    """Do all tasks, in order."""
    if workers == 1:
        yield from map(job.do, tasks)
        return
    with one_thread_each():
        crew = Crew(job, workers)
        try:
            yield from crew.do(tasks)
        finally:
            crew.dismiss()


def _file_name(identifier: str) -> str:
    """Give a name that any disk takes, and no two ids share."""
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '_', identifier)[-60:]}-{stable_int(identifier):016x}"


def _provenance(wish: Wish, trials: Iterable[Trial], missing: Mapping[str, str]) -> dict[str, object]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for trial in trials:
        counts[trial.split][trial.system or trial.label] += 1
    return {
        "corpus": "zoo",
        **_plain(wish),
        "version": _VERSION,
        "ringtrue": __version__,
        "families": {name: method.family for name, method in wish.methods.items()},
        "counts": {split: dict(sorted(systems.items())) for split, systems in sorted(counts.items())},
        "missing": dict(missing),
    }


def _plain(wish: Wish) -> dict[str, object]:
    """Give the wish as JSON has it: lists where Python has tuples, and vocoders by what is in their files."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(wish).items()}
    plain["vocoders"] = {Path(path).stem: sha256_file(path) for path in wish.vocoders}
    return plain


def _number(option: str, word: str, least: int, most: int) -> int:
    if not word.isdecimal() or not least <= int(word) <= most:
        raise CorpusError(f"zoo: {option}={word}; accepted is a whole number from {least} to {most}")
    return int(word)


def _families(option: str, words: str, families: Sequence[str]) -> tuple[str, ...]:
    names = () if words == "none" else tuple(dict.fromkeys(words.split(",")))
    if unknown := [name for name in names if name not in families]:
        raise CorpusError(
            f"zoo: {option}={words}: no family {unknown}; accepted: none, or any of {', '.join(families)}"
        )
    return names
