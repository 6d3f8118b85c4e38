import numpy as np
import pytest

from ringtrue.data.trials import Trial
from ringtrue.data.wave_store import store_waves
from ringtrue.errors import CorpusError


def trials(count=5):
    return [Trial(id=f"clip{i}", audio="", label="bonafide", split="train") for i in range(count)]


def load(trial):
    rng = np.random.default_rng(int(trial.id.removeprefix("clip")))
    return rng.standard_normal(100 + int(rng.integers(0, 50))).astype(np.float32)


def forbidden(trial):
    raise AssertionError("decoded again")


def test_a_store_gives_back_the_bits_and_is_made_once(tmp_path):
    made = store_waves(tmp_path, trials(), load)
    again = store_waves(tmp_path, trials(), forbidden)
    for trial in trials():
        for store in (made, again):
            assert np.array_equal(store.load(trial), load(trial))
            assert store.load(trial).dtype == np.float32


def test_other_recordings_have_another_store(tmp_path):
    made = store_waves(tmp_path, trials(), load)
    other = store_waves(tmp_path, trials(3), load)
    assert made.path != other.path


@pytest.mark.parametrize("damage", ["cut", "no index"])
def test_a_damaged_store_is_made_again(tmp_path, damage):
    made = store_waves(tmp_path, trials(), load)
    if damage == "cut":
        made.path.write_bytes(made.path.read_bytes()[:-4])
    else:
        made.path.with_suffix(".json").unlink()
    again = store_waves(tmp_path, trials(), load)
    assert np.array_equal(again.load(trials()[4]), load(trials()[4]))


def test_a_kill_leaves_no_store(tmp_path):
    def deadly(trial):
        if trial.id == "clip3":
            raise KeyboardInterrupt
        return load(trial)

    with pytest.raises(KeyboardInterrupt):
        store_waves(tmp_path, trials(), deadly)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_recording_is_named(tmp_path):
    with pytest.raises(CorpusError, match="clip0 is empty"):
        store_waves(tmp_path, trials(), lambda trial: np.empty(0, np.float32))
