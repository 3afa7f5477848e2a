"""What a person sets for single pictures, by the names of their files."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Generic, TypeVar

Entry = TypeVar("Entry")
Parts = tuple[str, ...]
"""Of a path, or of its end."""


class ByFileName(Generic[Entry]):
    """Entries matched to pictures. A key is a file's name, or the end of its path where names occur twice.

    It may come from another system, where folders stand before backslashes and accents are put together otherwise
    (macOS); a key in a picture's own spelling comes before such.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._keys = {key: _spellings(key) for key in entries}
        others = {parts: entries[key] for key, (_, *spellings) in self._keys.items() for parts in spellings}
        self._entries = others | {own: entries[key] for key, (own, *_) in self._keys.items()}
        self._longest = max(map(len, self._entries), default=0)

    def of(self, path: Path) -> Entry | None:
        """The entry of a picture; the longest key that fits."""
        return next((self._entries[ending] for ending in self._endings(path) if ending in self._entries), None)

    def lost(self, paths: Iterable[Path]) -> list[str]:
        """The keys that fit none of `paths`."""
        known = {ending for path in paths for ending in self._endings(path)}
        return [key for key, spellings in self._keys.items() if known.isdisjoint(spellings)]

    def _endings(self, path: Path) -> list[Parts]:
        parts = path.parts
        lengths = range(min(self._longest, len(parts)), 0, -1)
        spellings = [parts] if str(path).isascii() else [parts, _composed(parts)]
        return [spelt[-length:] for spelt in spellings for length in lengths]


def file_keys(paths: Sequence[Path]) -> tuple[str, ...]:
    """For each picture the key that `ByFileName` finds it by, and no other: as short an end of its path as tells it
    from those of the same name."""
    namesakes: dict[str, set[Path]] = defaultdict(set)
    for path in paths:
        namesakes[path.name].add(path)
    lengths = {name: _telling_length(group) for name, group in namesakes.items()}
    return tuple(PurePath(*path.parts[-lengths[path.name] :]).as_posix() for path in paths)


def _telling_length(paths: Iterable[Path]) -> int:
    parts = [path.parts for path in paths]
    return next(
        length for length in range(1, max(map(len, parts)) + 1) if len({part[-length:] for part in parts}) == len(parts)
    )


def _spellings(key: str) -> list[Parts]:
    """What a key may stand for, first as it is written."""
    spelt = [PurePath(key).parts, PurePath(key.replace("\\", "/")).parts]
    return list(dict.fromkeys([*spelt, *map(_composed, spelt)]))


def _composed(parts: Parts) -> Parts:
    return tuple(unicodedata.normalize("NFC", part) for part in parts)
