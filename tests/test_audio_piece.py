"""Pieces of recordings: the same bits as slices of the whole, and nothing but the piece is decoded where that is so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ringtrue import audio
from ringtrue.audio import load, load_piece
from ringtrue.errors import AudioError

Encode = Callable[..., bytes]
COUNT = 40_001  # samples, no multiple of any block
PLACES = [(0, COUNT), (0, 1), (COUNT - 1, COUNT), (1, 4_097), (12_345, 23_456), (39_680, COUNT)]
JUMPS = ["flac", "wav", "wav8", "wav24", "wav32", "wav_float", "wav_double", "wav_mulaw", "wav_alaw"]


@pytest.fixture(scope="module")
def samples(speechlike: Callable[..., NDArray]) -> NDArray[np.float32]:
    return speechlike(COUNT / 16_000)


@pytest.fixture
def only_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding a whole recording is an error."""

    def refuse(source: object) -> None:
        raise AssertionError("the whole was decoded")

    monkeypatch.setattr("ringtrue.audio.piece.load", refuse)


def at(start: int, stop: int) -> audio.Place:
    return lambda count: (start, stop)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", JUMPS)
def test_a_jump_gives_the_bits_of_the_whole(
    kind: str, channels: int, samples: NDArray, encode: Encode, tmp_path: Path, only_pieces: None
) -> None:
    sound = np.stack([samples, 0.3 * samples[::-1]], axis=1) if channels == 2 else samples
    content = encode(kind, sound)
    path = tmp_path / f"clip.{kind}"
    path.write_bytes(content)
    whole = load(path).samples
    for start, stop in PLACES:
        for source in (path, str(path), content):
            piece = load_piece(source, at(start, stop))
            assert piece.dtype == np.float32 and piece.shape == (stop - start,)
            assert np.array_equal(piece, whole[start:stop])


def test_any_place_in_flac_will_do(samples: NDArray, encode: Encode, only_pieces: None) -> None:
    content = encode("flac", samples)
    whole = load(content).samples
    for start in range(0, COUNT - 777, 557):
        assert np.array_equal(load_piece(content, at(start, start + 777)), whole[start : start + 777])


@pytest.mark.parametrize(
    ("kind", "rate_hz"),
    [("mp3", 16_000), ("ogg", 16_000), ("m4a", 16_000), ("wav_gsm", 8_000), ("flac", 22_050), ("wav", 8_000)],
)
def test_what_cannot_be_jumped_into_is_decoded_whole(
    kind: str, rate_hz: int, samples: NDArray, encode: Encode, tmp_path: Path
) -> None:
    content = encode(kind, samples, rate_hz)
    asked: list[int] = []

    def place(count: int) -> tuple[int, int]:
        asked.append(count)
        return count // 3, count // 2

    whole = load(content).samples
    assert np.array_equal(load_piece(content, place), whole[len(whole) // 3 : len(whole) // 2])
    assert asked == [len(whole)]


def test_a_flac_that_is_cut_short_is_asked_for_another_place(
    samples: NDArray, encode: Encode, tmp_path: Path
) -> None:
    """Its header promises more than there is: past the end nothing is made up."""
    content = encode("flac", samples)
    cut = content[: len(content) // 2]
    whole = load(cut).samples
    assert 4_096 < len(whole) < COUNT
    for share in (0.0, 0.5, 0.9, 1.0):
        asked: list[int] = []

        def place(count: int, share: float = share, asked: list[int] = asked) -> tuple[int, int]:
            asked.append(count)
            start = int(share * (count - 1_000))
            return start, start + 1_000

        piece = load_piece(cut, place)
        start = int(share * (asked[-1] - 1_000))
        assert np.array_equal(piece, whole[start : start + 1_000])
    assert asked == [COUNT, len(whole)]


def test_in_damage_nothing_is_made_up(samples: NDArray, encode: Encode) -> None:
    """What lies whole after the damage may be heard; where a piece lies in it, one before it is."""
    intact = encode("flac", samples)
    middle = len(intact) // 2
    damaged = intact[:middle] + bytes(1_500) + intact[middle + 1_500 :]
    before = len(load(damaged).samples)
    assert 4_096 < before < COUNT
    whole, places = load(intact).samples, []

    def place(count: int, start: int) -> tuple[int, int]:
        places.append(min(start, count - 2_000))
        return places[-1], places[-1] + 2_000

    for start in range(0, COUNT - 2_000, 1_500):
        piece = load_piece(damaged, partial(place, start=start))
        assert np.array_equal(piece, whole[places[-1] : places[-1] + 2_000])
    assert before - 2_000 in places and max(places) > middle


def test_errors_are_those_of_the_whole(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "none.flac").write_bytes(encode("flac", np.zeros(0, np.float32)))
    (tmp_path / "wild.wav").write_bytes(encode("wav_float", np.array([0.0, np.nan, 0.0], np.float32)))
    for name in ("text.wav", "empty.wav", "none.flac", "wild.wav", "missing.wav", "."):
        with pytest.raises(AudioError) as whole:
            load(tmp_path / name)
        with pytest.raises(AudioError) as part:
            load_piece(tmp_path / name, lambda count: (0, count))
        assert str(part.value) == str(whole.value)


def test_samples_in_memory_have_pieces_too() -> None:
    array = np.linspace(-1, 1, 100, dtype=np.float32)
    assert np.array_equal(load_piece((array, 16_000), at(10, 20)), array[10:20])
