"""The order of a pass: all of it once, split evenly, shuffled, and servable by a small buffer."""

import numpy as np
import pytest

from ringtrue.data.order import Shelf


def shelf(sizes=(5, 1, 7, 3, 9, 2), seed=1, streams=1, reach=4):
    return Shelf("spoof", np.array(sizes), seed, streams, reach)


def heard(shelf, turn, stream):
    lying, order = shelf.order(turn, stream)
    return lying[order]


@pytest.mark.parametrize("streams", [1, 2, 3, 4, 27])
@pytest.mark.parametrize("reach", [0, 1, 5, 1000])
def test_every_pass_holds_everything_once_over_all_streams(streams, reach):
    these = shelf(streams=streams, reach=reach)
    for turn in range(3):
        parts = [heard(these, turn, stream) for stream in range(streams)]
        assert sorted(np.concatenate(parts).tolist()) == list(range(27))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert [len(part) for part in parts] == [these.share(stream) for stream in range(streams)]


def test_passes_seeds_and_labels_differ_and_repeat():
    first = heard(shelf(), 0, 0).tolist()
    assert heard(shelf(), 0, 0).tolist() == first
    assert heard(shelf(), 1, 0).tolist() != first
    assert heard(shelf(seed=2), 0, 0).tolist() != first
    assert heard(Shelf("bonafide", np.array((5, 1, 7, 3, 9, 2)), 1, 1, 4), 0, 0).tolist() != first


def test_without_reach_runs_stay_whole_and_come_in_random_order():
    lying = heard(shelf(sizes=(10,) * 50, reach=0), 0, 0).reshape(50, 10)
    assert (np.diff(lying, axis=1) == 1).all()
    assert abs(np.corrcoef(lying[:, 0], np.arange(50))[0, 1]) < 0.5


@pytest.mark.parametrize("reach", [1, 16, 200])
def test_nothing_moves_further_than_reach(reach):
    """So a buffer of `reach` clips serves the order: at any time no more are read and not yet heard."""
    _, order = shelf(sizes=(7,) * 100, reach=reach).order(0, 0)
    assert np.abs(order - np.arange(700)).max() <= reach
    read = np.maximum.accumulate(order) + 1
    assert (read - np.arange(1, 701)).max() <= reach
    if reach > 1:
        assert np.abs(order - np.arange(700)).mean() > reach / 8


def test_a_million_take_no_time():
    """An order is made in one piece; it must stay out of the way of a resume."""
    lying, order = Shelf("spoof", np.full(10_000, 100), 0, 4, 256).order(3, 2)
    assert len(lying) == len(order) == 250_000
