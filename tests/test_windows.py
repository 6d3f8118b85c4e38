import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringtrue import windows
from ringtrue.windows import HOP, WINDOW, repeat_to, split, split_stream, timeline


def ramp(length):
    return np.arange(length, dtype=np.float32)


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 5 * WINDOW), sizes=st.lists(st.integers(1, 2 * WINDOW), min_size=1, max_size=6))
def test_windows_are_the_same_however_the_stream_is_cut(length, sizes):
    whole = ramp(length)
    blocks, at = [], 0
    while at < length:
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(whole[at : at + size])
        at += size
        if len(blocks) > 200:
            blocks.append(whole[at:])
            break
    starts, cut = split(whole)
    streamed = list(split_stream(blocks))
    assert [start for start, _ in streamed] == starts.tolist()
    assert np.array_equal(np.stack([window for _, window in streamed]), cut)


@pytest.mark.parametrize(
    "length", [1, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + HOP, WINDOW + HOP + 7, 10 * WINDOW]
)
def test_every_sample_is_heard_and_none_is_invented(length):
    starts, cut = split(ramp(length))
    assert set(np.unique(cut)) == set(range(length))
    for start, window in zip(starts, cut, strict=True):
        assert np.array_equal(window, repeat_to(ramp(length)[start:], WINDOW))


@pytest.mark.parametrize(
    ("length", "count"), [(WINDOW, 1), (WINDOW + 1, 2), (WINDOW + HOP, 2), (2 * WINDOW, 3)]
)
def test_window_count(length, count):
    assert len(split(ramp(length))[0]) == count


def test_an_empty_stream_has_no_windows():
    assert list(split_stream([])) == []


def test_the_timeline_covers_the_recording_and_averages_overlaps():
    length = WINDOW + HOP
    starts, _ = split(ramp(length))
    edges_s, means = timeline(starts, np.array([1.0, 3.0]), length)
    assert means.tolist() == [1.0, 2.0, 3.0]
    assert edges_s[0] == 0.0
    assert edges_s[-1] == length / windows.SAMPLE_RATE_HZ
    assert np.all(np.diff(edges_s) > 0)


def test_a_short_recording_has_one_piece_of_its_own_length():
    edges_s, means = timeline(np.array([0]), np.array([2.5]), 8000)
    assert (edges_s.tolist(), means.tolist()) == ([0.0, 0.5], [2.5])
