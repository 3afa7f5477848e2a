"""Reading a file's bytes without being held up, misled or swamped by what the file turns out to be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import TrainingError


class UnreadableFile(TrainingError):
    """A file that cannot be used. `reason` says why in a few words, without the file's name; `may_pass`: the computer
    could not read it just now, whatever is in it."""

    def __init__(self, path: Path, reason: str, *, may_pass: bool = False) -> None:
        super().__init__(f"cannot use {path}: {reason}. Replace the file or take it out of the folder.")
        self.reason, self.may_pass = reason, may_pass


def read_regular_file(path: Path, most_bytes: int) -> bytes:
    """The bytes of an ordinary file. A FIFO or a device is refused without waiting for it.

    Raises:
        UnreadableFile: missing, not to be read by this user, not an ordinary file, larger than `most_bytes`, or
        changing while it is read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as problem:
        raise UnreadableFile(path, _why_not_opened(path, problem), may_pass=True) from problem
    try:
        return _read_handle(path, handle, most_bytes)
    except OSError as problem:
        raise UnreadableFile(path, (problem.strerror or str(problem)).lower(), may_pass=True) from problem
    finally:
        os.close(handle)


def _read_handle(path: Path, handle: int, most_bytes: int) -> bytes:
    """Checked on the open handle, so that nothing can be swapped in between the check and the reading."""
    before = os.fstat(handle)
    if not stat.S_ISREG(before.st_mode):
        raise UnreadableFile(path, "not an ordinary file")
    if before.st_size > most_bytes:
        raise UnreadableFile(path, f"larger than {most_bytes // 1024:,} KB")
    with open(handle, "rb", closefd=False) as file:
        data = file.read(before.st_size)
    after = os.fstat(handle)
    if (after.st_size, after.st_mtime_ns) != (len(data), before.st_mtime_ns):
        reason = "still being written; read the folder again once it is complete"
        raise UnreadableFile(path, reason, may_pass=True)
    return data


def _why_not_opened(path: Path, problem: OSError) -> str:
    """A socket, and on Windows a folder, cannot even be opened, for reasons that would not say what they are."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "not an ordinary file"
    except OSError:
        pass
    return (problem.strerror or str(problem)).lower()
