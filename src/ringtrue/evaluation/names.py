"""Text of very many rows -> a column that compares, selects and counts like an array of strings, in little room.

A scores file of ten gigabytes has some hundred million rows. A Python string takes sixty bytes and numpy's text four
bytes a letter. Here a row takes the bytes of its UTF-8 text, or, where few texts differ (labels, systems, speakers),
a number of one to four bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Texts = NDArray[np.bytes_]

_PIECE = 8_192  # texts that are Python strings at once
_BLOCK = 1 << 20  # rows put together at once, so that what is let go of goes back to the system
_FEW = 1 << 16  # distinct texts that are worth a number each
_ENCODING = ("utf-8", "surrogateescape")  # a file name need not be UTF-8


class Names:
    """One text a row; unlike a list it knows which rows are alike.

    Args:
        texts: UTF-8, one a row; or with codes each distinct text once.
        codes: For each row its place among the texts.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, texts: Texts, codes: NDArray[Any] | None = None) -> None:
        self._texts, self._codes = texts, codes

    @classmethod
    def of(cls, values: Names | Sequence[str] | NDArray[np.str_]) -> Names:
        """Take texts from anywhere.

        Args:
            values: The texts.

        Returns:
            The same texts as names.
        """
        if isinstance(values, Names):
            return values
        builder = NamesBuilder()
        for begin in range(0, len(values), _PIECE):
            builder.add(np.asarray(values[begin : begin + _PIECE], dtype=np.str_).tolist())
        return builder.finish()

    @classmethod
    def repeat(cls, text: str, rows: int) -> Names:
        """Give one text to every row.

        Args:
            text: The text.
            rows: How many.

        Returns:
            The names.
        """
        return cls(_encode([text]), np.zeros(rows, dtype=np.uint8))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._texts if self._codes is None else self._codes)

    @property
    def nbytes(self) -> int:
        """Say how much memory they take."""
        return self._texts.nbytes + (0 if self._codes is None else self._codes.nbytes)

    def __getitem__(self, chosen: Any) -> Any:
        """Give the text of one row, or the names of some: a mask, positions or a slice."""
        if isinstance(chosen, int | np.integer):
            return (self._texts[chosen] if self._codes is None else self._texts[self._codes[chosen]]).decode(
                *_ENCODING
            )
        if self._codes is None:
            return Names(self._texts[chosen])
        return Names(self._texts, self._codes[chosen])

    def __eq__(self, other: object) -> Mask:  # type: ignore[override]
        """Tell which rows equal a text, or the same row of other names."""
        if not isinstance(other, str):
            other = Names.of(other)  # type: ignore[arg-type]
            if len(other) != len(self):
                raise ValueError(f"{len(self)} names against {len(other)}")
            return np.asarray(self._bytes() == other._bytes())
        (wanted,) = _encode([other])
        if self._codes is None:
            return np.asarray(self._texts == wanted)
        return np.asarray((self._texts == wanted)[self._codes])

    def __ne__(self, other: object) -> Mask:  # type: ignore[override]
        """Tell which rows differ."""
        return ~(self == other)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Spread them out as numpy text, four bytes a letter."""
        spread = np.array(self.tolist(), dtype=np.str_)
        return spread if dtype is None else spread.astype(dtype)

    def tolist(self) -> list[str]:
        """Give all of them as Python strings."""
        return [text for piece in self.pieces() for text in piece]

    def pieces(self) -> Iterator[list[str]]:
        """Give them as Python strings, some thousand at a time."""
        if self._codes is not None:
            texts = [text.decode(*_ENCODING) for text in self._texts.tolist()]
        for begin in range(0, len(self), _PIECE):
            if self._codes is None:
                yield [text.decode(*_ENCODING) for text in self._texts[begin : begin + _PIECE].tolist()]
            else:
                yield [texts[code] for code in self._codes[begin : begin + _PIECE].tolist()]

    def distinct(self) -> list[str]:
        """List the texts that occur, each once, sorted."""
        used = self._texts if self._codes is None else self._texts[self._used()]
        return [text.decode(*_ENCODING) for text in np.unique(used).tolist()]

    def numbers(self) -> NDArray[np.int32]:
        """Number the rows by the place of their text in `distinct`."""
        if self._codes is None:
            return np.asarray(np.unique(self._texts, return_inverse=True)[1], dtype=np.int32)
        used = self._used()
        place = np.zeros(self._texts.size, dtype=np.int32)
        place[used[np.argsort(self._texts[used])]] = np.arange(used.size)
        return np.asarray(place[self._codes])

    def map(self, change: Callable[[str], str]) -> Names:
        """Change every text.

        Args:
            change: Takes a text, gives another; called once for each distinct one.

        Returns:
            The changed names.
        """
        texts, codes = self._numbered()
        return Names(_encode([change(text.decode(*_ENCODING)) for text in texts.tolist()]), codes)._merged()

    def where(self, mask: Mask, text: str) -> Names:
        """Put one text into some rows.

        Args:
            mask: The rows.
            text: What to put there.

        Returns:
            The names with that text there.
        """
        if not mask.any() or bool((self[mask] == text).all()):
            return self
        texts, codes = self._numbered()
        codes = codes.astype(_least(texts.size + 1))
        codes[mask] = texts.size
        return Names(np.append(texts, _encode([text])), codes)._merged()

    def places_in(self, others: Names) -> NDArray[np.intp]:
        """Find each row among other names.

        Args:
            others: Names that occur once each.

        Returns:
            Its place there, or -1 where it is not among them.
        """
        theirs, ours = others._bytes(), self._bytes()
        order = np.argsort(theirs)
        place = order[np.minimum(np.searchsorted(theirs, ours, sorter=order), theirs.size - 1)]
        return np.where(theirs[place] == ours, place, -1)

    def first_repeated(self) -> int | None:
        """Find the first row whose text has occurred before."""
        # Numbers sort faster than texts and in less room; only a suspicion is followed up.
        hashes, begin = np.empty(len(self), dtype=np.int64), 0
        texts = self._bytes()
        while begin < len(self):
            piece = texts[begin : begin + _PIECE].tolist()
            hashes[begin : begin + len(piece)] = [hash(text) for text in piece]
            begin += len(piece)
        hashes.sort()
        if not np.any(hashes[1:] == hashes[:-1]):
            return None
        firsts = np.unique(texts, return_index=True)[1]
        is_first = np.zeros(len(self), dtype=bool)
        is_first[firsts] = True
        return None if is_first.all() else int(np.argmin(is_first))

    def _numbered(self) -> tuple[Texts, NDArray[Any]]:
        if self._codes is not None:
            return self._texts, self._codes
        texts, codes = np.unique(self._texts, return_inverse=True)
        return texts, codes

    def _bytes(self) -> Texts:
        return self._texts if self._codes is None else self._texts[self._codes]

    def _used(self) -> NDArray[np.intp]:
        assert self._codes is not None
        return np.flatnonzero(np.bincount(self._codes, minlength=self._texts.size))

    def _merged(self) -> Names:
        """Give equal texts one number, and numbers the least room."""
        assert self._codes is not None
        texts, place = np.unique(self._texts, return_inverse=True)
        return Names(texts, place.astype(_least(texts.size))[self._codes])


class NamesBuilder:
    """Takes texts in pieces and makes names of them; what it was given is let go of at once."""

    def __init__(self) -> None:
        self._places: dict[str, int] | None = {}
        self._blocks = Blocks()

    def add(self, texts: Sequence[str]) -> None:
        """Take some more texts."""
        if self._places is not None:
            places = self._places
            codes = [places.setdefault(text, len(places)) for text in texts]
            if len(places) <= min(_FEW, max(_PIECE // 2, len(self._blocks) // 2)):
                self._blocks.add(np.array(codes, dtype=_least(len(places))))
                return
            distinct = _encode(list(places))
            self._places = None  # too many texts differ: numbers would take more room
            self._blocks.change(lambda codes: distinct[codes])
        self._blocks.add(_encode(texts))

    def finish(self) -> Names:
        """Give the names; the builder is empty then."""
        if not len(self._blocks):
            return Names(_encode([]))
        joined = self._blocks.finish()
        return Names(joined) if self._places is None else Names(_encode(list(self._places)), joined)


class Blocks:
    """Takes a column in small pieces and gives one array, without needing room for two."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[Any]] = []
        self._pieces: list[NDArray[Any]] = []
        self._waiting = self._rows = 0

    def __len__(self) -> int:
        """Count the rows so far."""
        return self._rows

    def add(self, piece: NDArray[Any]) -> None:
        """Take some more rows."""
        self._pieces.append(piece)
        self._waiting += piece.size
        self._rows += piece.size
        if self._waiting >= _BLOCK:
            self._blocks.append(_join(self._pieces))
            self._waiting = 0

    def change(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        """Replace every piece by what becomes of it."""
        self._blocks = [change(block) for block in self._blocks]
        self._pieces = [change(piece) for piece in self._pieces]

    def finish(self) -> NDArray[Any]:
        """Give all rows, one at least; it is empty then."""
        if self._pieces:
            self._blocks.append(_join(self._pieces))
        return _join(self._blocks)


def _join(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    """Put arrays one after the other in the widest of their types, letting go of each as it is copied."""
    if len(pieces) == 1:
        return pieces.pop()
    end = sum(piece.size for piece in pieces)
    whole = np.empty(end, dtype=np.result_type(*{piece.dtype for piece in pieces}))
    while pieces:
        piece = pieces.pop()
        whole[end - piece.size : end] = piece
        end -= piece.size
    return whole


def _encode(texts: Sequence[str]) -> Texts:
    try:
        return np.array(texts, dtype=np.bytes_)
    except UnicodeEncodeError:
        return np.array([text.encode(*_ENCODING) for text in texts], dtype=np.bytes_)


def _least(count: int) -> type[np.unsignedinteger[Any]]:
    """The smallest type of numbers below a count."""
    return np.uint8 if count <= 1 << 8 else np.uint16 if count <= 1 << 16 else np.uint32
