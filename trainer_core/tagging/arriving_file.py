"""A file that arrives in parts: kept as `<name>.part` until it is whole and checked, so that a stop costs nothing."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import TrainingError
from ..files import sha256_of_file, write_atomic

_STRONG_ETAG = re.compile(r'"[!#-~]+"')
"""An ETag that promises the same bytes (RFC 9110, 8.8.3); the weak ones, W/"…", do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrivingFile:
    """Where a file goes, and what it must turn out to be."""

    path: Path
    size: int
    """Bytes."""
    sha256: str
    """64 hex digits; empty where nobody knows it, so that only the size is checked."""

    @property
    def is_whole(self) -> bool:
        """Whether it is in its place already."""
        return _size_of(self.path) == self.size

    def kept(self) -> int:
        """Bytes that an earlier attempt left and that can be gone on from; others are dropped."""
        size = _size_of(self._part)
        if self.etag() and 0 <= size <= self.size:
            return size
        self.discard()
        return 0

    def etag(self) -> str:
        """The server's name for what the part is a part of; empty where it gave none that can be relied on."""
        try:
            return _strong(self._part_etag.read_text("ascii"))
        except (OSError, ValueError):
            return ""

    @contextmanager
    def appending(self) -> Iterator[BinaryIO]:
        """The part, open for writing at its end.

        Raises:
            TrainingError: from the block as well, where the disk is full.
        """
        with _plain_refusals(self._part), open(self._part, "ab") as file:
            yield file

    @contextmanager
    def beginning(self, etag: str) -> Iterator[BinaryIO]:
        """An empty part of what the server calls `etag`, open for writing; raises as `appending` does."""
        with _plain_refusals(self._part), open(self._part, "wb") as file:
            # Only now, that nothing of another file can be taken for a part of this one.
            write_atomic(self._part_etag, _strong(etag).encode("ascii"))
            yield file

    def put_in_place(self) -> None:
        """Check the whole part and give it its name.

        Raises:
            TrainingError: it is not what it should be, and is deleted; or it cannot be renamed.
        """
        with _plain_refusals(self._part):
            is_right = not self.sha256 or sha256_of_file(self._part) == self.sha256
        if not is_right:
            self.discard()
            raise TrainingError(
                f"{self.path.name} is not the file it should be (its SHA-256 differs) and was deleted. Download it "
                "again, or choose another mirror."
            )
        with _plain_refusals(self.path):
            with open(self._part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self._part, self.path)
        self.discard()

    def discard(self) -> None:
        """Forget what has arrived."""
        with _plain_refusals(self._part):
            self._part.unlink(missing_ok=True)
            self._part_etag.unlink(missing_ok=True)

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def _part_etag(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part.etag")


def make_room(folder: Path, size: int) -> None:
    """Create `folder` and see that `size` bytes go into it.

    Raises:
        TrainingError: they do not, or it cannot be created.
    """
    with _plain_refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    if free < size:
        raise TrainingError(
            f"{size / 1e6:,.0f} MB are to be downloaded, but the disk of {folder} has {free / 1e6:,.0f} MB free. "
            "Free some disk space."
        )


@contextmanager
def _plain_refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise TrainingError(
            f"cannot write {path}: {problem.strerror or problem}. Free some disk space, or see that the folder may be "
            "written to."
        ) from problem


def _size_of(path: Path) -> int:
    """In bytes; -1 where there is no file."""
    return path.stat().st_size if os.path.isfile(path) else -1


def _strong(etag: str) -> str:
    return etag if _STRONG_ETAG.fullmatch(etag) else ""
