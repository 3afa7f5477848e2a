"""sd-scripts' options by name, read one by one; what nobody has read at the end has no equivalent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import TrainingError

_OFF = (False, "false", 0, "0", "0.0", [])


class Options:
    """What a command line or a file sets, by sd-scripts' names without dashes.

    Each reading marks the option as known and answers `default`, which is sd-scripts' own, where it is not set.
    `unsupported` and `notes` gather what a person should be told.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if value not in (None, "", "None")}
        self._left = set(self._given)
        self.unsupported: list[str] = []
        self.notes: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._given

    @property
    def left(self) -> list[str]:
        """Options that are set to something and that nobody has read, in the order in which they were given."""
        return [name for name in self._given if name in self._left and self._given[name] not in _OFF]

    def shown(self, name: str) -> str:
        """An option as a person wrote it."""
        value = self._given[name]
        if value is True:
            return name
        return f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"

    def drop(self, name: str) -> None:
        """Mark an option as known, whatever it says."""
        self._left.discard(name)

    def text(self, name: str, default: str) -> str:
        """Several words are joined by spaces."""
        value = self._take(name, default)
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)

    def texts(self, name: str) -> list[str]:
        """Every word of an option that takes several; a text is one of them, with its spaces."""
        value = self._take(name, [])
        return [str(entry) for entry in (value if isinstance(value, list) else [value])]

    def flag(self, name: str, default: bool) -> bool:
        value = self._take(name, default)
        return value if isinstance(value, bool) else str(value).lower() not in ("false", "0", "no")

    def number(self, name: str, default: float) -> float:
        return read_number(self._take(name, default), name)

    def whole(self, name: str, default: int) -> int:
        return read_whole(self._take(name, default), name)

    def _take(self, name: str, default: Any) -> Any:
        self.drop(name)
        return self._given.get(name, default)


def read_number(value: Any, name: str) -> float:
    """A finite number.

    Raises:
        TrainingError: it is none; `name` says where.
    """
    try:
        number = float(value[0] if isinstance(value, list) and len(value) == 1 else value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise TrainingError(f"{name} must be a number, got {value!r}. Correct it in sd-scripts' settings.")
    return number


def read_whole(value: Any, name: str) -> int:
    """A whole number; 10.0 is one.

    Raises:
        TrainingError: it is none; `name` says where.
    """
    number = read_number(value, name)
    if number != int(number):
        raise TrainingError(f"{name} must be a whole number, got {value!r}. Correct it in sd-scripts' settings.")
    return int(number)


def read_pairs(words: list[str], name: str) -> dict[str, str]:
    """ "key=value" words, as network_args and optimizer_args have them.

    Raises:
        TrainingError: a word without "=".
    """
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise TrainingError(f"{name} must be words such as weight_decay=0.1, got {word!r}. Correct it.")
        pairs[key.strip()] = value.strip().strip("\"'")
    return pairs
