"""A corpus that lives in memory: slow beats for people, fast ones for machines, told apart in a few steps."""

import numpy as np
import pytest

from ringtrue.config import parse_config
from ringtrue.data.trials import Trial
from ringtrue.files import stable_int
from ringtrue.models.frontends import load_frontend
from ringtrue.training.content import make_units


def load(trial):
    if trial.split.startswith("test"):
        raise AssertionError("training touched a test recording")
    rng = np.random.default_rng(stable_int(trial.id))
    count = 12_000 + int(rng.integers(0, 20_000))
    rate_hz = 3 if trial.is_bonafide else 12  # only time tells them apart: a mean spectrum is normalised away
    beat = 1.05 + np.sin(2 * np.pi * rate_hz * np.arange(count) / 16_000 + rng.uniform(0, 6))
    return (0.1 * beat * rng.standard_normal(count)).clip(-1, 1).astype(np.float32)


def make_trials():
    trials = []
    for split, count in (("train", 24), ("dev", 48), ("test", 4), ("test_seen", 4)):
        for index in range(count):
            human = index % 2 == 0
            system = "" if human else f"{'noise' if split in ('train', 'test_seen') else split}{index % 3}"
            trials.append(
                Trial(
                    id=f"{split}-{index}",
                    audio="",
                    label="bonafide" if human else "spoof",
                    split=split,
                    speaker=f"{split}-{index % 4}",
                    system=system,
                    corpus="toy",
                )
            )
    return trials


@pytest.fixture(scope="session")
def trials():
    return make_trials()


@pytest.fixture(scope="session")
def loader():
    return load


@pytest.fixture(scope="session")
def units(trials, tmp_path_factory):
    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    folder = tmp_path_factory.mktemp("units")
    return make_units(heard, load, load_frontend("log-mel"), folder, layer=0, count=8, fit_clips=20, seed=0)


@pytest.fixture
def config():
    """Build a configuration of a run of a few seconds: `config(strength=0.1, epochs=2, adversary={...}, ...)`."""

    def build(
        strength=0.1,
        epochs=2,
        workers=0,
        content=None,
        adversary=None,
        decorrelation=None,
        model=None,
        **training,
    ):
        return parse_config(
            {
                "name": "toy",
                "model": {"size": "XS", **(model or {})},
                "content": {"units": 8, **(content or {})},
                "adversary": {"strength": strength, **(adversary or {})},
                "decorrelation": decorrelation or {},
                "training": {
                    "epochs": epochs,
                    "steps_per_epoch": 4,
                    "batch_size": 8,
                    "crop_s": 0.5,
                    "workers": workers,
                    "learning_rate": 3e-3,
                    **training,
                },
            },
            "test",
        )

    return build
