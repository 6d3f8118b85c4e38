"""The long jobs of ringtrue in miniature: each goes on where it stopped, and leaves artefacts that can be compared.

`job(folder, material)` works in its folder, on recordings that lie in `material`. Real code all of it, but for what
would cost minutes: engines hum, the teacher is a filterbank, an export is a copy of one that was made before, and parts
are worked on in the process that writes them.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

NOT_COMPARED = ("events/", ".lock", ".training.lock")  # TensorBoard's files have times in them
TRAINING = {
    "model": {"size": "XS"},
    "content": {"teacher": "log-mel", "layer": 0, "units": 4, "fit_clips": 8},
    "training": {
        "epochs": 2, "steps_per_epoch": 3, "checkpoint_steps": 2, "batch_size": 4, "crop_s": 0.5, "workers": 0,
        "augment": False, "cached": True,
    },
}  # fmt: skip


def corpus(folder: Path, material: Path) -> None:
    """Build the starter corpus out of a Debian with a few packages."""
    from starter_world import ENGINES, RECIPE, FakeEngines

    from ringtrue.data.corpora.starter import builder, engines, packages

    def fetch(names, cache, progress, **_):
        had = {name: packages.Deb("1.0", "00") for name in names}
        return packages.DebResult(material / "debian", had, {})

    builder.RECIPES = {"small": RECIPE}
    builder.ENGINES = ENGINES
    builder.multiprocessing = SimpleNamespace(get_context=lambda _: multiprocessing.get_context("fork"))
    packages.fetch_debs = fetch
    engines.prepare = lambda names, cache, progress: dict.fromkeys(names, "")
    engines.run = FakeEngines().run
    builder.build("small", folder / "corpus", folder / "cache", 1, print)


def zoo(folder: Path, material: Path) -> None:
    """Let machines say people's recordings again: `ringtrue corpus prepare zoo`; by those that need no extra."""
    from ringtrue.data.corpora import zoo
    from ringtrue.data.corpora.zoo.methods import METHODS

    for name in [name for name, method in METHODS.items() if method.needs]:
        del METHODS[name]
    zoo.build(zoo.Wish(of=str(material / "manifest.tsv"), copies=1), folder / "corpus", 1, print)


def training(folder: Path, material: Path) -> None:
    """Content units, decoded waves, training, export: what `ringtrue train` does."""
    from ringtrue.config import parse_config
    from ringtrue.data.corpora import load_corpus
    from ringtrue.pipeline import prepare_units, screen, train_and_export

    os.environ["RINGTRUE_CACHE"] = str(folder / "cache")
    _export_by_copying(material)
    config = parse_config({"name": "toy", **TRAINING}, "toy")
    trials = screen(load_corpus(str(material / "manifest.tsv")), print)
    units = prepare_units(config.content, trials, print)
    train_and_export(config, trials, units, folder / "run", print)


def vocoder(folder: Path, material: Path) -> None:
    """Train a vocoder for the zoo: what `ringtrue vocoder` does, and saves more often."""
    from ringtrue.data.corpora import load_corpus
    from ringtrue.training.vocoder import VocoderSettings, train_vocoder

    settings = VocoderSettings("istft", steps=4, adversary_from=2, batch=2, piece_s=0.25, checkpoint_steps=1)
    train_vocoder(settings, load_corpus(str(material / "manifest.tsv")), folder / "run", print)


def features(folder: Path, material: Path) -> None:
    """Fill a feature cache."""
    from ringtrue.data.corpora import load_corpus, load_samples
    from ringtrue.models import feature_cache
    from ringtrue.models.frontend import FrontEndChoice
    from ringtrue.models.frontends import LOG_MEL, load_choice

    feature_cache._SHARD_CLIPS = 3
    front_end, choice = load_choice(FrontEndChoice(LOG_MEL, layer=0))
    waves = [load_samples(trial) for trial in load_corpus(str(material / "manifest.tsv"))]
    with feature_cache.FeatureCache(choice.made_by(front_end), folder) as cache:
        list(feature_cache.cached_features(waves, choice, front_end, cache))


def scoring(folder: Path, material: Path) -> None:
    """Score a corpus into a file: `ringtrue score`."""
    from ringtrue.data.corpora import load_corpus
    from ringtrue.inference.runtime import Detector
    from ringtrue.pipeline import score_split

    trials = load_corpus(str(material / "manifest.tsv"))
    score_split(Detector(material / "tiny.onnx"), trials, folder / "scores.tsv", print)


def parts(folder: Path, material: Path) -> None:
    """Score a corpus into a folder of parts: `ringtrue score --out FOLDER`."""
    from ringtrue.data.corpora.manifest import read_manifest
    from ringtrue.engine import run
    from ringtrue.engine.listing import Listing
    from ringtrue.engine.work import Scoring

    class Alone:
        """A crew of nobody but this process: a worker's start would cost more than all of the work."""

        def __init__(self, work, count):
            self._load = work.load

        def do(self, trials):
            return map(self._load(), trials)

        def dismiss(self):
            pass

    run.Crew = Alone
    trials = tuple(trial for trial in read_manifest(material / "manifest.tsv") if trial.split == "test")
    work = Scoring.by(material / "tiny.onnx")
    run.fill(work, Listing(2, trials), str(folder / "scores"), "local", 1, print, {})


def experiment(folder: Path, material: Path) -> None:
    """Two variants trained, scored and compared: `ringtrue experiment`."""
    import yaml

    from ringtrue import cli

    os.environ["RINGTRUE_CACHE"] = str(folder / "cache")
    _export_by_copying(material)
    plan = folder.parent / "experiment.yaml"
    plan.write_text(
        yaml.safe_dump(
            {
                "name": "two",
                "corpora": {"toy": {"source": str(material / "manifest.tsv")}},
                "tests": {"unseen": {}},
                "variants": {"base": {}, "other": {"change": {"adversary": {"strength": 0.1}}}},
                "baseline": "base",
                "seeds": [0],
                "defaults": {**TRAINING, "training": {**TRAINING["training"], "epochs": 1}},
            }
        )
    )
    if code := cli.main(["experiment", str(plan), "--out", str(folder / "out")]):
        raise SystemExit(code)


JOBS: dict[str, Callable[[Path, Path], None]] = {
    "corpus": corpus, "zoo": zoo, "training": training, "vocoder": vocoder, "features": features,
    "scoring": scoring, "parts": parts, "experiment": experiment,
}  # fmt: skip


def artefacts(folder: Path) -> dict[str, str]:
    """Give what a job leaves, by name: the hash of every file; of a feature cache, that of every entry."""
    from safetensors.numpy import load

    found: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if any(part in f"/{name}" for part in NOT_COMPARED):
            continue
        content = path.read_bytes()
        if path.with_name("made_by.json").exists() and len(path.stem) == 32 and path.suffix == ".safetensors":
            for key, value in load(
                content
            ).items():  # how clips share shards tells of kills, and of nothing else
                found[key] = hashlib.sha256(value.tobytes()).hexdigest()
        else:
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def _export_by_copying(material: Path) -> None:
    """Let the export be a graph that was made before, with the hash of the checkpoint that it stands for."""
    import onnx

    from ringtrue import packing
    from ringtrue.files import atomic_path, sha256_file
    from ringtrue.inference import export
    from ringtrue.inference.session import update_card

    def copy(checkpoint, target, *_, **__):
        graph = onnx.load(material / "tiny.onnx")
        update_card(graph, {"checkpoint_sha256": sha256_file(checkpoint)})
        with atomic_path(target) as temporary:
            temporary.write_bytes(graph.SerializeToString(deterministic=True))
        return target

    packing.pack = export.export_onnx = copy
