"""Captions written beside their pictures, as .txt files; only ever when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..dataset.types import Dataset
from ..files import write_atomic


def write_sidecars(dataset: Dataset) -> Iterator[Path]:
    """Write each picture's captions into its .txt file, one a line, yielding the files that changed.

    The first text a file held is kept beside it as .txt.bak, once.
    """
    for image in dataset.images:
        path = image.path.with_suffix(".txt")
        new = "\n".join(image.captions).encode("utf-8")
        old = path.read_bytes() if path.is_file() else None
        if old == new:
            continue
        backup = path.with_name(f"{path.name}.bak")
        if old is not None and not backup.exists():
            write_atomic(backup, old)
        write_atomic(path, new)
        yield path
