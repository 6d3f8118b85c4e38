"""A dataclass of numbers and names <-> plain values for a model's JSON; anything else is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Self

from ringtrue.errors import ScoresError


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is no finite number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r:.60} is no whole number")
    return value


def _several(of: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list | tuple):
            raise ValueError(f"{values!r:.60} is no list")
        return tuple(of(value) for value in values)

    return read


_READERS: dict[str, Callable[[Any], Any]] = {
    "float": _number,
    "int": _count,
    "tuple[float, ...]": _several(_number),
    "tuple[str, ...]": _several(str),
}


class Stored:
    """What a dataclass inherits to be kept in JSON. Files come from strangers: only what fits is taken."""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as plain values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild it from `to_dict`'s values.

        Args:
            values: The values.

        Returns:
            The same object.

        Raises:
            ScoresError: A value is missing or of the wrong kind, or there is one too many.
        """
        kinds = {field.name: str(field.type) for field in fields(cls)}  # type: ignore[arg-type]
        name = cls.__name__.lower()
        if not isinstance(values, Mapping) or set(values) != set(kinds):
            raise ScoresError(
                f"the {name} is damaged: it holds {values!r:.200}; needed are {', '.join(kinds)}, and no others"
            )
        try:
            return cls(**{key: _READERS[kind](values[key]) for key, kind in kinds.items()})
        except ValueError as error:
            raise ScoresError(f"the {name} is damaged: {error}") from error
