"""What earlier scans found, so that an unchanged folder of thousands of pictures is not decoded again.

A file is the same while its size, times and inode are: a changed one has another time of change (ctime), even where
a program sets its modification time back.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import PIL

from ..errors import TrainingError
from ..files import digest, write_atomic
from .opening import UnreadableFile
from .pictures import PictureFacts

_VERSION = 2
_CLOCK_TICK_SECONDS = 0.1
"""A file changed this recently may change again without its times moving on."""


class ScanCache:
    """The memory of one folder's scans."""

    def __init__(self, caches: Path | None, folder: Path, background: str) -> None:
        key = digest(_VERSION, PIL.__version__, os.path.realpath(folder), background)
        self._file = caches / f"{key}.json" if caches else None
        self._start = f"{folder}{os.sep}"
        self._known: dict[str, list[Any]] = _read(self._file) if self._file else {}
        self._used: dict[str, list[Any]] = {}

    def recall(self, path: Path) -> PictureFacts | UnreadableFile | None:
        """What is known of a file as it is now; None where it has to be opened."""
        name = self._name(path)
        entry = self._known.get(name)
        if entry is None or entry[0] != stamp_of(path):
            return None
        try:
            found = UnreadableFile(path, entry[1]) if isinstance(entry[1], str) else PictureFacts.from_json(entry[1])
        except (KeyError, TypeError):
            return None
        self._used[name] = entry
        return found

    def remember(self, path: Path, stamp: list[int] | None, found: PictureFacts | UnreadableFile) -> None:
        """Keep what was found, but for what may pass; `stamp` is the file's `stamp_of` from before it was opened."""
        if self._file is None or stamp is None or stamp != stamp_of(path):
            return
        if isinstance(found, UnreadableFile) and found.may_pass:
            return
        if time.time() - max(stamp[1], stamp[2]) / 1e9 < _CLOCK_TICK_SECONDS:
            return
        value = found.reason if isinstance(found, UnreadableFile) else found.to_json()
        self._used[self._name(path)] = [stamp, value]

    def keep(self, paths: Iterable[Path]) -> None:
        """Write down what is known of `paths`, the files that are there, also where a scan was stopped before it came
        to them, and forget all others. Where that fails the next scan takes longer, and nothing else is lost."""
        if self._file is None:
            return
        known = self._known | self._used
        kept = {name: known[name] for name in map(self._name, paths) if name in known}
        if kept == self._known:
            return
        with contextlib.suppress(TrainingError):
            write_atomic(self._file, json.dumps(kept, separators=(",", ":")).encode())

    def _name(self, path: Path) -> str:
        return str(path).removeprefix(self._start)


def stamp_of(path: Path) -> list[int] | None:
    """Size, times of modification and change in nanoseconds, inode; None where there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(file: Path) -> dict[str, list[Any]]:
    """A memory that is missing or damaged is an empty one."""
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
