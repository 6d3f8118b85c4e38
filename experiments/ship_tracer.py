"""Clips of a corpus of named generators -> the tracer that ships, and what it is worth on what it never heard.

    python experiments/ship_tracer.py                    # starter-full: the tracer, results/ship_tracer*.csv
    python experiments/ship_tracer.py --pages MANIFEST   # and what it makes of published demo pages

The tracer is Fisher's discriminant on statistics of texture (`ringtrue.tracing.discriminant`, `.texture`). What ships
has heard every generator. Its figures come from tracers like it that had not heard what they were judged by:

- names: five folds. No voice is in two, and no human speaker of whom copies were made; where a generator has one voice
  only, no text of its. Generators are not kept apart here, so this says how well known ones are named.
- *unknown*: every family of acoustic models, every family of vocoders and every generator is left out in turn. All of
  its clips are unknown; known are the clips of one fold, left out too. Each of these tracers is judged by a threshold
  that was set on the others.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue import __version__
from ringtrue.data.augment import POLICIES, augment
from ringtrue.data.corpora import load_corpus, load_samples
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.experiment.report import commit
from ringtrue.files import stable_int, write_rows
from ringtrue.inference.source import NAMED, Tracer, prepare, trace_recording
from ringtrue.tracing.attributes import labelled, value_of
from ringtrue.tracing.discriminant import Discriminant, DiscriminantGraph, family_logits, fit
from ringtrue.tracing.export import HeldOut, TrainedTracer, export_tracer
from ringtrue.tracing.learning import as_rows, fit_temperature
from ringtrue.tracing.openset import rejection_threshold
from ringtrue.tracing.report import Outcome, by_class, figures, intervals, joined
from ringtrue.tracing.texture import textures

Row = dict[str, Any]
Places = NDArray[np.int64]
Array = NDArray[np.float64]

TARGET = Path(__file__).parents[1] / "src" / "ringtrue" / "weights" / "tracer.onnx"
FOLDS = 5
CHANNELS = "channels"  # policy of the changed copy of each clip that is trained on beside it
MOST_SECONDS = 6  # of a clip that is changed: what is heard of it is four, after trimming
FAR = 0.99  # share of held-out clips of known generators that lie nearer to one than `threshold`
DRAWS = 500
VOICE = "voice: "  # stands before the name of a unit that is a voice
NO_MODEL = "none"  # acoustic model of copies of human speech: no family that could be left out
KNOWN_VOCODERS = {
    "HiFi-GAN": "hifigan",
    "Griffin-Lim": "griffinlim",
    "WORLD": "world",
    "MB-MelGAN": "mbmelgan",
    "HTS engine (MLSA)": "mlsa",
}
"""Vocoders that the tracer knows, as manifests of demo pages write them."""
LIMITS = (
    "It names what it was trained on: 16 small, mostly old generators of free software packages. Of those with one "
    "voice (piper_joe, hibari_heart, festival_hts_slt, festival_clunits_ru, flite_kal_diphone) nobody can say how "
    "much is the generator and how much its voice, language and texts: their clips were kept apart by text only. LPC "
    "and MLSA copies are of Dutch and Romanian speech that no other generator speaks. Few unknown generators are told "
    "from known ones; a name is a lead, not a finding."
)


def say(line: str) -> None:
    """Tell how it goes, on standard error."""
    print(line, file=sys.stderr, flush=True)


def units_of(trials: Sequence[Trial]) -> list[str]:
    """Say of each clip what it may share with no other side: its voice, or its text where a generator has one voice.

    Args:
        trials: All clips, of machines and of people.

    Returns:
        A name each. Copies have the speaker whom they copy.
    """
    voices: dict[str, set[str]] = {}
    for trial in trials:
        voices.setdefault(trial.system, set()).add(trial.speaker)
    return [
        f"text: {trial.transcript or trial.id}"
        if trial.system and len(voices[trial.system]) == 1
        else f"{VOICE}{trial.speaker}"
        for trial in trials
    ]


def folds_of(trials: Sequence[Trial], units: Sequence[str]) -> Places:
    """Deal units to folds, so that each generator's are spread over as many as it has.

    Args:
        trials: All clips.
        units: What `units_of` says.

    Returns:
        Fold of each clip.
    """
    by_system: dict[str, set[str]] = {}
    for trial, unit in zip(trials, units, strict=True):
        by_system.setdefault(trial.system, set()).add(unit)
    fold: dict[str, int] = {}
    for system, some in sorted(by_system.items()):
        new = sorted(unit for unit in some if unit not in fold)
        for number, unit in enumerate(new):
            fold[unit] = (number + stable_int("fold", system)) % FOLDS
    return np.array([fold[unit] for unit in units])


@dataclass(frozen=True)
class Fitted:
    """A tracer and what it makes of every clip.

    Attributes:
        systems: What it was trained on.
        model: The discriminant.
        embeddings: `(n, D)`.
        logits: Of systems, `(n, K)`.
    """

    systems: tuple[str, ...]
    model: Discriminant
    embeddings: Array
    logits: Array

    @property
    def nearest(self) -> Array:
        """Distance of each clip to the nearest system."""
        return np.asarray(np.sqrt(-2 * self.logits.max(axis=1)))


class Study:
    """All that is measured of the clips, once.

    Args:
        trials: Clips of machines whose system, acoustic model and vocoder are known, and of people.
    """

    def __init__(self, trials: Sequence[Trial]):
        self.trials = list(trials)
        self.units = np.array(units_of(trials))
        self.fold = folds_of(trials, self.units.tolist())
        self.machine = np.array([not trial.is_bonafide for trial in trials])
        self.values = {
            name: np.array(["" if t.is_bonafide else value_of(t, name) for t in trials]) for name in NAMED
        }
        say(f"{len(trials)} clips: measuring, as they are and through channels")
        heard, changed = [], []
        for start in range(0, len(trials), 64):
            if start and start % 1024 == 0:
                say(f"{start} of {len(trials)} clips")
            waves = [load_samples(trial) for trial in trials[start : start + 64]]
            heard.append(textures([prepare(wave) for wave in waves]))
            changed.append(
                textures(
                    [
                        prepare(through_channels(wave, trial.id))
                        for wave, trial in zip(waves, trials[start:], strict=False)
                    ]
                )
            )
        self.heard, self.changed = np.concatenate(heard), np.concatenate(changed)

    def members(self, systems: Sequence[str], attribute: str) -> dict[str, list[int]]:
        """Sort places of systems by their class under an attribute."""
        of = dict(zip(self.values["system"], self.values[attribute], strict=True))
        found: dict[str, list[int]] = {}
        for place, system in enumerate(systems):
            found.setdefault(of[system], []).append(place)
        return dict(sorted(found.items()))

    def fit(self, fold: int | None = None, without: frozenset[str] = frozenset()) -> Fitted:
        """Train on all folds but one, and on all systems but some."""
        others = self.fold != (-1 if fold is None else fold)
        taught = np.flatnonzero(others & self.machine & ~np.isin(self.values["system"], list(without)))
        people = np.flatnonzero(others & ~self.machine)
        systems = tuple(sorted(set(self.values["system"][taught])))
        labels = as_rows(self.values["system"][taught].tolist(), systems)
        model = fit(
            np.concatenate([self.heard[taught], self.changed[taught]]),
            np.tile(labels, 2),
            np.concatenate([self.heard[people], self.changed[people]]),
        )
        embeddings = model.embed(self.heard)
        return Fitted(systems, model, embeddings, model.logits(embeddings))

    def families(self, attribute: str) -> dict[str, frozenset[str]]:
        """Give the systems of each class that can be left out."""
        values = self.values[attribute]
        names = sorted(set(values[self.machine]) - {NO_MODEL})
        return {name: frozenset(self.values["system"][values == name].tolist()) for name in names}


def through_channels(wave: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Change a clip as calls and messengers might, always alike."""
    rng = np.random.default_rng(stable_int("channels", name))
    return augment(wave[: MOST_SECONDS * 16_000], rng, POLICIES[CHANNELS])


@dataclass(frozen=True)
class CrossFitted:
    """What five tracers make of the clips of the fold that each never heard.

    Attributes:
        systems: What all of them know.
        logits: Of systems, `(n, K)`.
        temperature: That makes the probabilities of vocoders true.
        far: Distance beyond which nothing is known.
        own: Distance of each machine's clip to its own system.
    """

    systems: tuple[str, ...]
    logits: Array
    temperature: float
    far: float
    own: Array

    def familiarity(self, study: Study, fitted: Fitted, places: Places) -> Array:
        """Give the probability of the likeliest vocoder; of what is far from every system, less the farther it is."""
        members = study.members(fitted.systems, "vocoder")
        scaled = family_logits(fitted.logits[places], members) / self.temperature
        chances = np.exp(scaled.max(axis=1) - np.logaddexp.reduce(scaled, axis=1))
        distance = fitted.nearest[places]
        return np.where(distance <= self.far, chances, -distance / self.far)


def cross_fit(study: Study) -> CrossFitted:
    """Train without each fold in turn."""
    logits: Array | None = None
    systems: tuple[str, ...] = ()
    for fold in range(FOLDS):
        fitted = study.fit(fold)
        assert not systems or systems == fitted.systems, "every system is in every training side"
        systems = fitted.systems
        logits = np.zeros_like(fitted.logits) if logits is None else logits
        here = study.fold == fold
        logits[here] = fitted.logits[here]
        say(f"fold {fold}: {len(fitted.systems)} systems")
    assert logits is not None
    machine = np.flatnonzero(study.machine)
    labels = as_rows(study.values["system"][machine].tolist(), systems)
    return CrossFitted(
        systems,
        logits,
        temperature_of(study, systems, logits, "vocoder"),
        far=float(np.quantile(np.sqrt(-2 * logits[machine].max(axis=1)), FAR)),
        own=np.sqrt(-2 * logits[machine, labels]),
    )


def temperature_of(study: Study, systems: Sequence[str], logits: Array, attribute: str) -> float:
    """Make the probabilities of an attribute's classes as true as one number can, given logits of systems."""
    machine = np.flatnonzero(study.machine)
    members = study.members(systems, attribute)
    labels = as_rows(study.values[attribute][machine].tolist(), tuple(members))
    return fit_temperature(family_logits(logits[machine], members), labels)


def closed(study: Study, crossed: CrossFitted, attribute: str) -> Outcome:
    """Say what held-out clips of known generators were called."""
    machine = np.flatnonzero(study.machine)
    members = study.members(crossed.systems, attribute)
    logits = family_logits(crossed.logits[machine], members)
    classes = tuple(members)
    nothing = np.zeros(len(machine))
    return Outcome(
        truth=study.values[attribute][machine],
        called=np.array(classes)[logits.argmax(axis=1)],
        classes=classes,
        familiarity=nothing,
        is_accepted=nothing == 0,
        group=study.fold[machine].astype(str),
        cluster=study.units[machine],
    )


def several_voices(outcome: Outcome) -> Outcome:
    """Keep the clips that were kept apart by voice, and not by text alone."""
    return outcome.take(np.flatnonzero(np.char.startswith(outcome.cluster, VOICE)))


def left_out(study: Study, crossed: CrossFitted) -> dict[str, list[tuple[Outcome, Array]]]:
    """Leave every class of every attribute out in turn.

    Returns:
        For each attribute an outcome a class, with the truth ``unknown`` to its tracer where it is of that class.
    """
    tasks = {attribute: study.families(attribute) for attribute in NAMED}
    sets = sorted({some for families in tasks.values() for some in families.values()}, key=sorted)
    fitted = {}
    for number, without in enumerate(sets):
        fitted[without] = (number % FOLDS, study.fit(number % FOLDS, without))
        say(f"{number + 1} of {len(sets)}: without {', '.join(sorted(without))}")
    found: dict[str, list[tuple[Outcome, Array]]] = {}
    for attribute, families in tasks.items():
        for name, without in families.items():
            fold, one = fitted[without]
            out = np.isin(study.values["system"], list(without))
            places = np.flatnonzero(study.machine & (out | (study.fold == fold)))
            members = study.members(one.systems, attribute)
            called = family_logits(one.logits[places], members).argmax(axis=1)
            outcome = Outcome(
                truth=study.values[attribute][places],
                called=np.array(tuple(members))[called],
                classes=tuple(members),
                familiarity=crossed.familiarity(study, one, places),
                is_accepted=np.zeros(len(places), bool),
                group=np.full(len(places), name),
                cluster=study.units[places],
            )
            people = crossed.familiarity(study, one, np.flatnonzero(~study.machine & (study.fold == fold)))
            found.setdefault(attribute, []).append((outcome, people))
    return found


def threshold_of(outcomes: Sequence[Outcome]) -> float:
    """Set the threshold on several outcomes together."""
    known, unknown = (
        np.concatenate([one.familiarity[one.is_known == side] for one in outcomes]) for side in (True, False)
    )
    return rejection_threshold(known, unknown)


def judged(outcomes: Sequence[Outcome]) -> Outcome:
    """Accept and refuse the clips of each outcome by a threshold that was set on the others."""
    taken = []
    for place, one in enumerate(outcomes):
        threshold = threshold_of([other for number, other in enumerate(outcomes) if number != place])
        taken.append(
            Outcome(
                one.truth, one.called, one.classes, one.familiarity, one.familiarity >= threshold, one.group,
                one.cluster,
            )
        )  # fmt: skip
    return joined(taken)


def table(study: Study, crossed: CrossFitted, found: Mapping[str, list[tuple[Outcome, Array]]]) -> list[Row]:
    """Write one row an attribute and question."""
    rows = []
    for attribute in NAMED:
        names = closed(study, crossed, attribute)
        unknown = judged([outcome for outcome, _ in found[attribute]])
        threshold = threshold_of([outcome for outcome, _ in found[attribute]])
        people = np.concatenate([scores for _, scores in found[attribute]])
        asked = {
            "names of known generators": (names, ("accuracy", "f1")),
            "names of those with several voices": (several_voices(names), ("accuracy", "f1")),
            "unknown families left out in turn": (
                unknown, ("auroc", "fpr95", "known_accepted", "known_right", "unknown_rejected"),
            ),
        }  # fmt: skip
        for question, (outcome, shown) in asked.items():
            values, ends = figures(outcome), intervals(outcome, np.random.default_rng(0), DRAWS)
            row: Row = {
                "attribute": attribute,
                "question": question,
                "classes": len(outcome.classes),
                "known_clips": int(outcome.is_known.sum()),
                "unknown_clips": int((~outcome.is_known).sum()),
                "clusters": len(set(outcome.cluster.tolist())),
            }
            for name in shown:
                row[name] = round(values[name], 4)
                row[f"{name}_low"], row[f"{name}_high"] = (round(end, 4) for end in ends[name])
            if question.startswith("unknown"):
                row["people_rejected"] = round(float(np.mean(people < threshold)), 4)
            rows.append(row)
    return rows


def pages(tracer: Tracer, manifest: Path) -> list[Row]:
    """Say what the tracer makes of published demo pages, vocoder by vocoder; nearly all are unknown to it."""
    counts: dict[str, Counter[str]] = {}
    with open(manifest, newline="", encoding="utf-8") as file:
        listed = [row for row in csv.DictReader(file) if row["label"] == "spoof"]
    for row in listed:
        source = trace_recording(tracer, manifest.parent / row["path"])
        known = KNOWN_VOCODERS.get(row["vocoder"], "")
        counts.setdefault(row["vocoder"], Counter()).update(
            {"clips": 1, "named": int(source.is_known), "right": int(source.vocoder == known)}
        )
    order = sorted(counts, key=lambda name: (name not in KNOWN_VOCODERS, -counts[name]["clips"], name))
    return [
        {"vocoder": name, "is_known": name in KNOWN_VOCODERS}
        | {key: counts[name][key] for key in ("clips", "named", "right")}
        for name in order
    ]


def write_tracer(
    study: Study,
    crossed: CrossFitted,
    found: Mapping[str, list[tuple[Outcome, Array]]],
    rows: Sequence[Row],
    target: Path,
    command: str,
) -> None:
    """Train on everything, and write the tracer with its card."""
    fitted = study.fit()
    families = {name: study.members(fitted.systems, name) for name in NAMED}
    logits = {name: family_logits(fitted.logits, members) for name, members in families.items()}
    graph = DiscriminantGraph(fitted.model, [families[name] for name in NAMED[1:]])
    machine = np.flatnonzero(study.machine)
    trials = study.trials
    outcomes = [outcome for some in found.values() for outcome, _ in some]
    least = threshold_of(outcomes)
    known, unknown = (
        np.concatenate([one.familiarity[one.is_known == side] for one in outcomes]) for side in (True, False)
    )
    held_out = HeldOut(
        threshold=crossed.far,
        least_probability=least,
        known_accepted=float(np.mean(known >= least)),
        unknown_rejected=float(np.mean(unknown < least)),
        measured_on=f"{len(known)} clips of known and {len(unknown)} of unknown generators, by {len(outcomes)} tracers "
        "without them; the threshold was set on the same",
        known_distances=np.quantile(crossed.own, np.linspace(0, 1, 501)),
        temperatures={name: temperature_of(study, crossed.systems, crossed.logits, name) for name in NAMED},
    )
    heard = [trials[place] for place in machine]
    record = {
        "figures": [dict(row) for row in rows],
        "limits": LIMITS,
        "trained_on": {
            "corpora": sorted({trial.corpus for trial in trials}),
            "clips": len(heard),
            "people": len(trials) - len(heard),
            "sources": sources_and_licences(trials),
            "fingerprint": fingerprint(trials),
        },
        "provenance": {
            "ringtrue": __version__,
            "command": command,
            "recipe": "Fisher's discriminant on statistics of texture, each clip as it is and through channels; "
            "spread among people discounted",
        },
    }
    classes = {name: tuple(members) for name, members in families.items()}
    made = TrainedTracer(graph.eval(), classes, fitted.model.positions, fitted.embeddings, logits)
    export_tracer(made, trials, machine, held_out, record, target)


def sources_and_licences(trials: Sequence[Trial]) -> list[Row]:
    """List what clips were made with or recorded from, and under which licence, with how many of them."""
    counts = Counter((trial.system or "people", trial.source, trial.licence) for trial in trials)
    return [
        {"system": system, "source": source, "licence": licence, "clips": count}
        for (system, source, licence), count in sorted(counts.items())
    ]


def run(corpus: str, target: Path, out: Path, manifest: Path | None = None) -> None:
    """Measure, judge, train and write."""
    everything = load_corpus(corpus, say)
    machines = [trial for trial in everything if not trial.is_bonafide]
    for attribute in NAMED[::-1]:
        machines, _ = labelled(machines, attribute, say)
    study = Study([*machines, *(trial for trial in everything if trial.is_bonafide)])
    crossed = cross_fit(study)
    found = left_out(study, crossed)
    rows = table(study, crossed, found)
    words = shlex.join(word.rpartition("/")[2] for word in sys.argv[1:])
    command = f"python experiments/ship_tracer.py {words}".strip()
    made = {"commit": commit(), "command": command}
    for row in rows:
        say(", ".join(f"{name} {value}" for name, value in row.items()))
    classes = [
        {"attribute": attribute, "question": question, **line}
        for attribute in NAMED
        for question, outcome in (
            ("names", closed(study, crossed, attribute)),
            ("unknown", judged([one for one, _ in found[attribute]])),
        )
        for line in by_class(outcome)
    ]
    write_tracer(study, crossed, found, rows, target, command)
    write_rows(out / "ship_tracer.csv", [row | made for row in rows])
    write_rows(out / "ship_tracer_classes.csv", [row | made for row in classes])
    if manifest:
        write_rows(out / "ship_tracer_pages.csv", [row | made for row in pages(Tracer(target), manifest)])


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--corpus", default="starter-full", help="as `ringtrue train` takes it (starter-full)"
    )
    parser.add_argument("--pages", type=Path, help="a CSV that lists clips of demo pages, to be traced too")
    parser.add_argument("--target", type=Path, default=TARGET, help="the file to write (the package's own)")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the tables (results)")
    options = parser.parse_args()
    run(options.corpus, options.target, options.out, options.pages)


if __name__ == "__main__":
    main()
