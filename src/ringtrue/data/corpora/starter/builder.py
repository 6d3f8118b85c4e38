"""A size and a folder -> the starter corpus in it: real people, named machines, and no cue but the speech.

Nothing is downloaded as a corpus: people come from Debian packages that hold recorded speech, machines from
synthesisers that package registries carry. Every clip is written whole or not at all, so a build that is
killed goes on where it stopped, and the manifest is written last: where it is, the corpus is complete.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ringtrue import __version__
from ringtrue.data.corpora.building import claim, is_complete
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.data.corpora.starter import engines as engines_room
from ringtrue.data.corpora.starter import harmonise as chain
from ringtrue.data.corpora.starter import packages
from ringtrue.data.corpora.starter.clips import (
    clip_duration_s,
    end_with_parent,
    make_human_clips,
    make_spoof_clip,
)
from ringtrue.data.corpora.starter.engines import Job
from ringtrue.data.corpora.starter.human import SPEAKERS, Utterance, utterances
from ringtrue.data.corpora.starter.plan import audio_path, plan_spoof, voice_of
from ringtrue.data.corpora.starter.recipe import MINIMUM, RECIPES, Recipe
from ringtrue.data.corpora.starter.systems import ENGINES, Engine
from ringtrue.data.corpora.starter.texts import readable_lines, split_of
from ringtrue.data.trials import Trial, check_disjoint, write_manifest
from ringtrue.errors import CorpusError
from ringtrue.files import stable_int, sweep, write_json

Progress = Callable[[str], None]

_VERSION = 2  # of the corpus: raise it when a change here makes other clips from the same seed
_ROUNDS = 4  # of replacing what engines could not say: one in forty fails, one in a thousand twice


def build(size: str, root: Path, cache: Path, workers: int, progress: Progress, seed: int = 0) -> list[Trial]:
    """Build the starter corpus, or finish one that was interrupted, or return one that is complete.

    A script that calls this needs the usual ``if __name__ == "__main__":``, since clips are made in
    processes of their own.

    Args:
        size: A key of `recipe.RECIPES`: ``"small"`` (minutes) or ``"full"`` (about an hour).
        root: Folder for the corpus: ``audio/``, ``provenance.json``, and last of all ``manifest.tsv``.
        cache: Folder for packages and engines, shared between corpora.
        workers: Processes to use, at least 1.
        progress: Called with one line per step, and one per source that cannot be had.
        seed: Draws codecs, noise and the engines' own randomness.

    Returns:
        The Trials of the manifest.

    Raises:
        CorpusError: The size is unknown, the folder holds something else, or so much could not be had
            that what is left is below `recipe.MINIMUM`.
    """
    if size not in RECIPES:
        raise CorpusError(f"no starter corpus of size {size!r}; sizes: {', '.join(RECIPES)}")
    if workers < 1:
        raise CorpusError(f"workers is {workers}; at least 1 process is needed")
    manifest = root / "manifest.tsv"
    with packages.readable_disk_errors(root):
        claim(root, {"corpus": f"starter-{size}", "seed": seed, "version": _VERSION})
        with packages.one_at_a_time(root, progress):
            if not is_complete(manifest):
                _Work(size, RECIPES[size], root, cache, seed, progress, {}).build(workers)
            shutil.rmtree(root / "raw", ignore_errors=True)  # the waves that were on their way
            sweep(root, below=True)
    return read_manifest(manifest)


@dataclass(frozen=True)
class _Work:
    """One build: what is wanted, where it goes, and what turned out not to be had."""

    size: str
    recipe: Recipe
    root: Path
    cache: Path
    seed: int
    progress: Progress
    missing: dict[str, str]  # source, system or clip kind -> reason

    @property
    def corpus(self) -> str:
        return f"starter-{self.size}"

    @property
    def raw(self) -> Path:
        """Waves on their way: human clips wait here for the vocoders, spoof clips for the harmoniser."""
        return self.root / "raw"

    def build(self, workers: int) -> None:
        """Take every step, up to the manifest."""
        with _processes(workers) as pool:
            debs = self.fetch()
            human = self.make_bonafide(pool, debs.root)
            self.require_speakers(human)
            available = self.prepare_engines()
            lines = readable_lines(debs.root, self.recipe.languages)
            plan = partial(plan_spoof, self.recipe, human, lines, available, self.seed, self.corpus)
            self.require_systems(plan())
            spoof = self.make_spoof(pool, human, plan, workers)
        self.require_systems(spoof)
        trials = [*human, *spoof]
        check_disjoint(trials)
        write_json(self.root / "provenance.json", self.provenance(debs, available, trials))
        write_manifest(self.root / "manifest.tsv", trials)
        self.progress(
            f"the corpus is complete: {len(human)} bona fide and {len(spoof)} spoof clips in {self.root}"
        )

    def fetch(self) -> packages.DebResult:
        speakers = [name for group in self.recipe.bonafide.values() for name in group]
        # The two that carry the sentences to read are wanted whoever speaks.
        wanted = ["fillets-ng-data", "tuxpaint-stamps-default"]
        wanted += [package for name in speakers for package in SPEAKERS[name].packages]
        debs = packages.fetch_debs(list(dict.fromkeys(wanted)), self.cache, self.progress)
        self._lack(debs.missing)
        return debs

    def make_bonafide(self, pool: ProcessPoolExecutor, prefix: Path) -> list[Trial]:
        """Make the human clips, one task per speaker, since the first n *good* recordings are taken."""
        tasks: dict[Future[list[tuple[Utterance, float]]], tuple[str, str, int]] = {}
        for split, speakers in self.recipe.bonafide.items():
            for name, count in speakers.items():
                if any(package in self.missing for package in SPEAKERS[name].packages):
                    continue
                found = [item for item in utterances(name, prefix) if split_of(item.sentence) == split]
                if not found:
                    self._lack({name: f"no recordings of it in {', '.join(SPEAKERS[name].packages)}"})
                    continue
                task = pool.submit(make_human_clips, found, count, self.root, split, self.raw, self.seed)
                tasks[task] = split, name, count
        made = {}
        for task in as_completed(tasks):
            split, name, count = tasks[task]
            made[split, name] = [self._bonafide_trial(split, *clip) for clip in task.result()]
            done, total = sum(map(len, made.values())), sum(count for *_, count in tasks.values())
            self.progress(f"bona fide {done}/{total}: {name} gave {len(made[split, name])} of {count} clips")
        return [trial for split, name, _ in tasks.values() for trial in made[split, name]]

    def prepare_engines(self) -> dict[str, Engine]:
        names = self.recipe.engines
        reasons = dict.fromkeys(names - set(ENGINES), "this version has no such engine")
        known = [name for name in ENGINES if name in names]
        if known:
            reasons |= engines_room.prepare(known, self.cache, self.progress)
        self._lack({name: reason for name, reason in sorted(reasons.items()) if reason})
        return {name: ENGINES[name] for name in known if not reasons.get(name)}

    def make_spoof(
        self,
        pool: ProcessPoolExecutor,
        human: Sequence[Trial],
        plan: Callable[[Collection[str]], list[Trial]],
        workers: int,
    ) -> list[Trial]:
        """Let the engines speak; what one of them cannot say gives way to something else, a few times over."""
        wanted = Counter(trial.system for trial in plan(()))
        reasons: dict[str, str] = {}
        for _ in range(_ROUNDS):
            planned = plan(reasons)
            durations = {trial.id: clip_duration_s(self.root / trial.audio) for trial in planned}
            todo = [trial for trial in planned if not durations[trial.id]]
            if not todo:
                break
            if len(todo) < len(planned):
                self.progress(
                    f"spoof: {len(planned) - len(todo)} clips are there, {len(todo)} are to be made"
                )
            for identifier, (duration_s, reason) in self._speak(pool, human, todo, workers).items():
                durations[identifier] = duration_s
                if reason:
                    reasons[identifier] = reason
        made = [replace(trial, duration_s=durations[trial.id]) for trial in planned if durations[trial.id]]
        for system, short in sorted((wanted - Counter(trial.system for trial in made)).items()):
            why = Counter(reason for name, reason in reasons.items() if name.startswith(f"{system}-"))
            self._lack({f"{system} clips": f"{short} left out, mostly because: {why.most_common(1)[0][0]}"})
        return made

    def _speak(
        self, pool: ProcessPoolExecutor, human: Sequence[Trial], todo: Sequence[Trial], workers: int
    ) -> dict[str, tuple[float, str]]:
        """Harmonise each clip while the engines make the next -> id: (duration in s, or 0 and why not)."""
        results: dict[str, tuple[float, str]] = {}
        tasks: dict[Future[float], str] = {}
        trials = {trial.id: trial for trial in todo}
        clips = {trial.id: self.root / trial.audio for trial in (*human, *todo)}
        jobs = {trial.id: self._job(trial) for trial in todo}
        for result in engines_room.run(list(jobs.values()), self.cache, workers, self.progress):
            if result.ok:
                source = trials[result.id].source_utterance
                made, clip = jobs[result.id].out, clips[result.id]
                drawn_from = source or result.id
                task = pool.submit(make_spoof_clip, made, clip, drawn_from, clips.get(source), self.seed)
                tasks[task] = result.id
            elif os.strerror(errno.ENOSPC) in result.reason:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # not the engine's fault: stop here
            else:
                results[result.id] = 0.0, result.reason
        for task in as_completed(tasks):
            duration_s = task.result()
            results[tasks[task]] = duration_s, "" if duration_s else "not 1.2 to 10 s of speech"
        return results

    def require_speakers(self, human: Sequence[Trial]) -> None:
        """Stop before the engines are fetched where too few people speak."""
        self._require("speakers", {(trial.split, trial.speaker) for trial in human}, 0)

    def require_systems(self, spoof: Sequence[Trial]) -> None:
        """Stop where too few machines speak."""
        self._require("systems", {(trial.split, trial.system) for trial in spoof}, 1)

    def _require(self, what: str, had: Collection[tuple[str, str]], column: int) -> None:
        counts = Counter(split for split, _ in had)
        short = [
            f"{split} has {counts[split]} {what} and needs {least[column]}"
            for split, least in MINIMUM.items()
            if counts[split] < least[column]
        ]
        if short:
            raise CorpusError(
                f"too little for a fair comparison: {', '.join(short)}. Not to be had: "
                f"{engines_room.in_one_line(self.missing) or 'nothing'}. "
                "Check the network and run again: what was made is kept"
            )

    def provenance(
        self, debs: packages.DebResult, engines: Mapping[str, Engine], trials: Sequence[Trial]
    ) -> dict[str, object]:
        licences = {package: source.licence for source in SPEAKERS.values() for package in source.packages}
        used = {trial.system for trial in trials}
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for trial in trials:
            counts[trial.split][trial.system or trial.label] += 1
        return {
            "corpus": self.corpus,
            "seed": self.seed,
            "version": _VERSION,
            "ringtrue": __version__,
            "packages": {
                name: {"version": deb.version, "sha256": deb.sha256, "licence": licences.get(name, "")}
                for name, deb in debs.had.items()
            },
            "engines": {
                name: {"source": engine.source, "licence": engine.licence, "neural": engine.neural}
                for name, engine in engines.items()
                if name in used
            },
            "harmonised": {
                "band_hz": chain.BAND_HZ,
                "level_db": chain.LEVEL_DB,
                "noise_db": chain.NOISE_DB,
                "margin_s": chain.MARGIN_S,
                "codecs": chain.CODECS,
            },
            "counts": {split: dict(sorted(systems.items())) for split, systems in counts.items()},
            "missing": self.missing,
        }

    def _bonafide_trial(self, split: str, utterance: Utterance, duration_s: float) -> Trial:
        source = SPEAKERS[utterance.speaker]
        return Trial(
            id=utterance.name,
            audio=audio_path(split, "", utterance.name),
            label="bonafide",
            speaker=utterance.speaker,
            language=utterance.language,
            transcript=utterance.text,
            source_utterance=utterance.name,
            codec=chain.codec_of(utterance.name, self.seed),
            split=split,
            corpus=self.corpus,
            source=source.packages[0],
            licence=source.licence,
            duration_s=duration_s,
        )

    def _job(self, trial: Trial) -> Job:
        human = trial.source_utterance
        return Job(
            id=trial.id,
            engine=trial.system,
            voice=voice_of(trial),
            language=trial.language,
            text=trial.transcript,
            source_wave=self.raw / f"{human}.wav" if human else None,
            out=self.raw / f"{trial.id}.wav",
            seed=stable_int(self.seed, trial.id) % 2**31,
        )

    def _lack(self, reasons: Mapping[str, str]) -> None:
        self.missing.update(reasons)
        if reasons:
            self.progress(f"going on without: {engines_room.in_one_line(reasons)}")


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: a caller that has loaded torch runs threads, whose locks a fork would copy.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
