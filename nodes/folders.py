"""Names in the nodes' lists against folders on disk. A name that comes back is checked, never trusted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..trainer_core.errors import TrainingError
from ..trainer_core.files import contained

NO_FOLDER = "none"
WITH_THE_PACK = " (comes with the pack)"
_DEPTH = 3  # levels below a root that are listed: root/character/10_outfit/close-ups

Roots = Mapping[str, Sequence[Path]]
"""What a name starts with -> the folders it may stand for, the first that has the sub-folder wins."""


def list_folders(roots: Roots) -> list[str]:
    """Every sub-folder of the roots as "root/sub/folder", for a list in a node."""
    names = dict.fromkeys(
        f"{root}/{below}" for root, paths in roots.items() for path in paths for below in _below(path)
    )
    return [name + WITH_THE_PACK if name.startswith("demo/") else name for name in names]


def find_folder(name: str, roots: Roots) -> Path:
    """The real path of a name that `list_folders` could have given.

    Raises:
        TrainingError: it is not there, or it leads out of its root by `..`, a link or an absolute path.
    """
    root_name, _, below = name.removesuffix(WITH_THE_PACK).partition("/")
    for root in roots.get(root_name, ()):
        if folder := _inside(root, below):
            return folder
    raise TrainingError(
        f"{name!r} is not a folder inside ComfyUI's input/ or datasets/. Move the folder of pictures there "
        "and refresh the page, or add these lines to extra_model_paths.yaml and restart ComfyUI:\n"
        "my_pictures:\n    datasets: /the/folder/above/it"
    )


def fingerprint_folder(folder: Path) -> list[tuple[str, int, int]]:
    """(name, bytes, time of change) of every file below: tells an edited caption without reading pictures."""
    entries = []
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(path, name))
            entries.append((os.path.relpath(os.path.join(path, name), folder), status.st_size, status.st_mtime_ns))
    return sorted(entries)


def _inside(root: Path, below: str) -> Path | None:
    try:
        folder = contained(root, below)
    except TrainingError:
        return None
    return folder if folder.is_dir() and folder != Path(os.path.realpath(root)) else None


def _below(folder: Path, prefix: str = "", depth: int = _DEPTH) -> Iterator[str]:
    """Sub-folders by name; hidden ones and links are left out."""
    for name in _sub_folders(folder) if depth else ():
        yield prefix + name
        yield from _below(folder / name, f"{prefix}{name}/", depth - 1)


def _sub_folders(folder: Path) -> list[str]:
    """None of one that is not there or may not be looked into: a list without it is better than no list at all."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False))
    except OSError:
        return []
