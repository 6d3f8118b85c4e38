"""One of the processes that torchrun starts in `test_two_processes_take_the_steps_of_one`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest import load, make_trials

from ringtrue.config import load_config
from ringtrue.models.frontends import load_frontend
from ringtrue.training.content import make_units
from ringtrue.training.train import train

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trials = make_trials()
    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    units = make_units(
        heard, load, load_frontend("log-mel"), folder / "units", layer=0, count=8, fit_clips=20, seed=0
    )
    train(load_config(folder / "two.yaml"), trials, load, units, folder / "two", progress=print)
