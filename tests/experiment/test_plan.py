"""Experiment files: what they mean, and what they may not say."""

from pathlib import Path

import pytest
import yaml

from ringtrue.config import load_config
from ringtrue.errors import ConfigError
from ringtrue.experiment.plan import fill, read_experiment, resolve

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = {
    "name": "small",
    "corpora": {"c": {"source": "starter-small"}},
    "tests": {"unseen": {}},
    "variants": {"base": {}, "hero": {"recipe": "hero", "change": {"adversary": {"strength": 0.3}}}},
    "baseline": "base",
    "seeds": [0, 3],
    "defaults": {"training": {"epochs": 7, "learning_rate": 1e-4}},
}


@pytest.fixture
def read(tmp_path):
    """`read(seeds=[1])` reads the small experiment with something else in it."""

    def read(**changes):
        path = tmp_path / "e.yaml"
        path.write_text(yaml.safe_dump({**SMALL, **changes}))
        return read_experiment(path)

    return read


def test_a_run_is_recipe_defaults_variant_then_command_line(read):
    runs = resolve(read(), Path("out"), ["training.epochs=9"])
    assert [str(run) for run in runs] == ["c/base/seed-0", "c/hero/seed-0", "c/base/seed-3", "c/hero/seed-3"]
    hero = runs[3].config
    assert (hero.name, hero.seed) == ("hero", 3)
    assert (hero.training.epochs, hero.training.learning_rate, hero.adversary.strength) == (9, 1e-4, 0.3)
    assert hero.decorrelation == load_config("hero").decorrelation
    assert runs[3].folder == Path("out/runs/c/hero/seed-3")


def test_smoke_is_short_and_the_command_line_has_the_last_word(read):
    runs = resolve(read(), Path("out"), ["training.steps_per_epoch=2"], smoke=True)
    assert {(r.config.training.epochs, r.config.training.steps_per_epoch) for r in runs} == {(2, 2)}


def test_sources_are_filled_from_the_command_line_then_the_environment(monkeypatch):
    monkeypatch.setenv("MLAAD", "/env")
    assert fill("mlaad:${MLAAD}?languages=en", {}) == "mlaad:/env?languages=en"
    assert fill("mlaad:${MLAAD}", {"MLAAD": "/given"}) == "mlaad:/given"
    monkeypatch.delenv("MLAAD")
    with pytest.raises(ConfigError, match="set the environment variable MLAAD, or say --set MLAAD=FOLDER"):
        fill("mlaad:${MLAAD}", {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"baseline": "heros"}, "baseline: 'heros' is none of base, hero"),
        ({"seeds": [1, 1]}, "distinct whole numbers"),
        ({"seeds": []}, "distinct whole numbers"),
        ({"tests": {}}, "tests are empty"),
        ({"variants": {"a b": {}}}, "'a b' must be letters"),
        ({"figures": ["auc"]}, "must have eer among them"),
        ({"figures": ["eer", "eerr"]}, "figures: 'eerr' is none of eer, auc"),
        ({"hypotheses": {"H": {"text": "x", "contrast": ["hero", "bas"]}}}, "H.contrast: 'bas' is none of"),
        ({"hypotheses": {"H": {"text": "x", "tests": ["seen"]}}}, "H.tests: 'seen' is none of unseen"),
        ({"hypotheses": {"H": {"text": "x", "than": "c"}}}, "give corpus too"),
        ({"hypotheses": {"H": {"text": "x", "direction": "up"}}}, "hypotheses.H.direction = 'up'"),
        ({"hypotheses": {"H": {}}}, "hypotheses.H.text is missing"),
        ({"variant": {}}, "unknown key 'variant'"),
        ({"tests": {"unseen": {"trimm": True}}}, "unknown key 'tests.unseen.trimm'"),
        ({"seeds": ["0"]}, "seeds.0 = '0'"),
    ],
)
def test_what_means_nothing_is_refused(read, changes, said):
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")) as caught:
        read(**changes)
    assert "\n" not in str(caught.value)


def test_a_setting_that_is_wrong_is_found_before_any_run(read):
    experiment = read(variants={"base": {}, "x": {"change": {"training": {"epoch": 3}}}})
    with pytest.raises(ConfigError, match=r"unknown key 'training.epoch'; did you mean 'epochs'"):
        resolve(experiment, Path("out"))


OWN = [path for path in sorted(EXPERIMENTS.glob("*.yaml")) if not path.stem.startswith("tracing_")]


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_every_file_that_comes_with_the_project(path):
    if "variants" not in path.read_text(encoding="utf-8"):
        assert load_config(path).name == path.stem
        return
    experiment = read_experiment(path)
    assert experiment.name == path.stem
    runs = resolve(experiment, Path("out"))
    assert len({run.folder for run in runs}) == len(runs)
    for corpus in experiment.corpora:  # on none of them are two variants the same
        configs = [run.config for run in runs if run.corpus == corpus and run.seed == 0]
        nameless = {config.model_copy(update={"name": ""}).to_yaml() for config in configs}
        assert len(nameless) == len(experiment.trained_on(corpus))


def test_a_corpus_may_bring_settings_and_a_variant_has_the_last_word(read):
    corpora = {
        "c": {"source": "starter-small"},
        "d": {"source": "starter-small", "change": {"training": {"pairs": 0.5, "batch_size": 8}}},
    }
    variants = {"baseline": {}, "alone": {"change": {"training": {"pairs": 0.0}}}}
    experiment = read(corpora=corpora, variants=variants, baseline="baseline", defaults={})
    found = {
        (run.corpus, run.variant): (run.config.training.pairs, run.config.training.batch_size)
        for run in resolve(experiment, Path("out"))
    }
    assert found[("c", "baseline")] == (0.0, 32)
    assert found[("d", "baseline")] == (0.5, 8)
    assert found[("d", "alone")] == (0.0, 8)


def test_no_file():
    with pytest.raises(ConfigError, match="no experiment file at nowhere.yaml"):
        read_experiment("nowhere.yaml")
