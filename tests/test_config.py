import pytest
import yaml

from ringtrue.config import RunConfig, load_config, parse_config, recipe_names
from ringtrue.errors import ConfigError


def test_recipes_differ_in_what_they_say_they_differ_in():
    assert recipe_names() == ["baseline", "hero", "seed-hero"]
    baseline, hero = (load_config(name).model_dump() for name in ("baseline", "hero"))
    assert baseline["adversary"]["strength"] == baseline["decorrelation"]["frame"] == 0.0
    assert hero["adversary"].pop("strength") > 0.0
    assert hero["decorrelation"] != baseline["decorrelation"]
    # Both teach the same readers in the same way, so that leakage and wall time compare.
    for name in ("steps", "ensemble", "refresh", "learning_rate"):
        assert hero["adversary"][name] == baseline["adversary"][name]
    for part in ("name", "adversary", "decorrelation"):
        del baseline[part], hero[part]
    assert baseline == hero


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0])
def test_the_seeds_recipe_is_the_seeds(strength):
    seed = load_config("seed-hero", [f"adversary.strength={strength}"])
    assert seed.adversary.target == "pooled"  # mean-pooled, of the last of wav2vec2-base's twelve layers
    assert (seed.content.teacher, seed.content.pooled_layer) == ("facebook/wav2vec2-base", 12)
    assert (seed.adversary.scale, seed.adversary.objective) == ("raw", "reversal")
    assert (seed.model.front_end, seed.decorrelation.frame) == ("mel", 0.0)


def test_a_file_is_a_diff_and_the_resolved_whole_reads_back(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text("name: small\ntraining: {epochs: 3}\n")
    config = load_config(path, ["training.batch_size=16", "model.size=XS", "content.teacher=log-mel"])
    assert (config.training.epochs, config.training.batch_size, config.model.size) == (3, 16, "XS")
    assert config.training.crop_s == RunConfig().training.crop_s
    whole = tmp_path / "whole.yaml"
    whole.write_text(config.to_yaml())
    assert load_config(whole) == config
    assert set(yaml.safe_load(config.to_yaml())) == set(RunConfig.model_fields)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainig": {}}, "unknown key 'trainig'; did you mean 'training'"),
        ({"training": {"num_epochs": 3}}, "did you mean 'epochs'"),
        ({"adversary": {"strenght": 1}}, "unknown key 'adversary.strenght'; did you mean 'strength'"),
        ({"model": {"zzz": 1}}, "accepted: trunk, size, front_end, prosody, dropout"),
        ({"adversary": {"target": "pooled"}}, "give content.pooled_layer"),
        ({"adversary": {"target": "speaker", "objective": "club"}}, "needs adversary.target = units"),
        ({"adversary": {"leakage_target": 0.5}}, "give adversary.strength > 0"),
        ({"training": {"prosody_task": 0.2}}, "set model.prosody = true"),
        ({"model": {"size": "XL"}}, "model.size = 'XL'.*'xs', 's' or 'm'"),
        ({"training": {"batch_size": 7}}, "training.batch_size = 7.*multiple of 2"),
        ({"training": {"epochs": True}}, "training.epochs = True.*valid integer"),
        ({"training": {"augment": "off"}}, "training.augment = 'off'.*valid boolean"),
        ({"training": {"epochs": "many"}}, "training.epochs = 'many'.*integer"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate.*finite"),
        ({"name": "../../etc"}, "name = '../../etc'"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(values, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(values, "my.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("my.yaml: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not readable YAML"),
        ("- 1\n- 2\n", "holds list"),
        ("!!python/object:os.system {}", "not readable"),
        ("a: &a [1, 2]\nname: [*a, *a]\n", r"aliases are not accepted: \*a"),
        ("a: " + 5_000 * "[", "not readable"),
    ],
)
def test_what_is_no_configuration_is_refused_and_cannot_run_code(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_unknown_files_and_overrides_are_refused():
    with pytest.raises(ConfigError, match="recipes: baseline, hero"):
        load_config("heroo")
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        load_config("hero", ["training.epochs"])
    with pytest.raises(ConfigError, match="override .* is not readable YAML"):
        load_config("hero", ["training.epochs=[1"])
    assert load_config("hero", ["training.learning_rate=1e-4"]).training.learning_rate == 1e-4
    with pytest.raises(ConfigError, match="is a value, not a section"):
        load_config("hero", ["name.first=1"])


def test_smoke_is_short():
    smoke = load_config("hero").smoke()
    assert (smoke.training.epochs, smoke.training.steps_per_epoch) == (2, 100)
    assert smoke.content == load_config("hero").content
