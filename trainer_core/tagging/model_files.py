"""The files of a tagger: told apart without reading gigabytes."""

from __future__ import annotations

from pathlib import Path

from ..errors import TrainingError
from ..files import digest


def identity_of(version: str, *files: Path) -> str:
    """A digest of the files' names, sizes and times, and of `version`, which says how pictures are prepared for them.

    Raises:
        TrainingError: a file is missing or may not be read.
    """
    try:
        states = [(file, file.stat()) for file in files]
    except OSError as problem:
        raise TrainingError(
            f"cannot read {problem.filename}: {problem.strerror}. Put the tagger's file back, or choose another tagger."
        ) from problem
    return digest(version, [(file.name, state.st_size, state.st_mtime_ns) for file, state in states])
