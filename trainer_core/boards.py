"""Boards: what a node leaves on disk for its editor on the page, by a name made of its content."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from .errors import TrainingError
from .files import digest, time_of_change, write_atomic

_STARTED = time.time_ns()
"""Boards that were written since stay: ComfyUI answers from its cache with their names, and then no queueing makes them
again."""
_KEPT = 30
"""Earlier boards of a folder; older ones go when a new one is written. They are made again by queueing their graph."""
_NAME = re.compile(r"[0-9a-f]{32}")


class Boards:
    """The boards of one kind of node, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, value: dict[str, Any]) -> str:
        """Write a board under a name, given back, that is the same for the same content; else as `write`."""
        name = digest(value)
        self.write(name, value)
        return name

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Write a board under a name of 32 hex digits. Of the earlier ones the oldest are deleted.

        Raises:
            TrainingError: the folder cannot be written to.
        """
        write_atomic(self._folder / f"{name}.json", json.dumps(value).encode("ascii"))
        earlier = [path for path in self._folder.glob("*.json") if time_of_change(path) < _STARTED]
        for old in sorted(earlier, key=time_of_change)[:-_KEPT]:
            old.unlink(missing_ok=True)

    def file(self, name: str) -> Path:
        """Where the board of that name is.

        Raises:
            TrainingError: there is none, as it may be deleted by now.
        """
        path = self._folder / f"{name}.json"
        if not _NAME.fullmatch(name) or not path.is_file():
            raise TrainingError("what this run showed is not at hand any more. Queue the graph once, then try again.")
        return path

    def read(self, name: str) -> dict[str, Any]:
        """The board of that name.

        Raises:
            TrainingError: there is none, or it cannot be read.
        """
        try:
            return json.loads(self.file(name).read_bytes())
        except (OSError, ValueError) as problem:
            raise TrainingError(f"this board cannot be read: {problem}. Queue the graph once more.") from problem
