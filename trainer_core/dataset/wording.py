"""How reports name files and count things."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .types import Dataset

_MOST_NAMES = 5


class FileNames:
    """A dataset's files by names that are short, tell them apart, and do not say where on the disk they lie."""

    def __init__(self, dataset: Dataset) -> None:
        paths = list(dict.fromkeys(entry.path for entry in (*dataset.images, *dataset.skipped)))
        self._root = _shared_folder(paths)
        self._short = {} if self._root else _numbered(paths)

    def of(self, path: Path) -> str:
        """Relative to the folder that all files share; where they share none, the file with its folder, and a number
        from the second of that name on."""
        if self._root and path.is_relative_to(self._root):
            return path.relative_to(self._root).as_posix()
        return self._short.get(path) or _short_name(path)


def many(count: int, noun: str) -> str:
    """ "1 picture", "2,000 pictures"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def some_of(names: Iterable[str], limit: int = _MOST_NAMES) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return f"{', '.join(names[:limit])}{more}"


def _numbered(paths: Sequence[Path]) -> dict[Path, str]:
    counts: Counter[str] = Counter()
    names = {}
    for path in paths:
        name = _short_name(path)
        counts[name] += 1
        names[path] = name if counts[name] == 1 else f"{name} ({counts[name]})"
    return names


def _short_name(path: Path) -> str:
    parent = path.parent.name
    return f"{parent}/{path.name}" if parent not in ("", "..") else path.name


def _shared_folder(paths: Sequence[Path]) -> Path | None:
    """None where there is none: no paths, two drives, or only the root of the whole disk."""
    try:
        root = Path(os.path.commonpath([path.parent for path in paths]))
    except ValueError:
        return None
    return root if root.name else None
