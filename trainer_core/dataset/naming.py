"""What a person sets for single pictures, by the names of their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class ByFileName(Generic[Entry]):
    """Entries matched to pictures. A key is a file's name, or the end of its path where names occur twice."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._keys = {key: _parts(key) for key in entries}
        self._entries = {_parts(key): entry for key, entry in entries.items()}
        self._longest = max(map(len, self._entries), default=0)

    def of(self, path: Path) -> Entry | None:
        """The entry of a picture; the longest key that fits."""
        return next((self._entries[ending] for ending in self._endings(path) if ending in self._entries), None)

    def lost(self, paths: Iterable[Path]) -> list[str]:
        """The keys that fit none of `paths`."""
        known = {ending for path in paths for ending in self._endings(path)}
        return [key for key, parts in self._keys.items() if parts not in known]

    def _endings(self, path: Path) -> list[tuple[str, ...]]:
        parts = path.parts
        return [parts[-length:] for length in range(min(self._longest, len(parts)), 0, -1)]


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


def _parts(key: str) -> tuple[str, ...]:
    return PurePath(key.replace("\\", "/")).parts
