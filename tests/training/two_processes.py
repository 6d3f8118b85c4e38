"""One of the processes that torchrun starts in `test_train.py`; the second one is killed in its first life."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest import load, make_trials

from ringtrue.config import load_config
from ringtrue.models.frontends import load_frontend
from ringtrue.training.content import make_units
from ringtrue.training.step import Lesson
from ringtrue.training.train import train


def _die_in(doomed):
    honest = Lesson.learn

    def deadly(self, batch, step, steps):
        if step == doomed:
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(self, batch, step, steps)

    Lesson.learn = deadly


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) == ("1", "0"):
        _die_in(3)
    trials = make_trials()
    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    units = make_units(
        heard, load, load_frontend("log-mel"), folder / "units", layer=0, count=8, fit_clips=20, seed=0
    )
    train(load_config(folder / "two.yaml"), trials, load, units, folder / "two", progress=print)
