"""Folders that may hold a model: listed, and told apart by names and small settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .catalogue import CATALOGUE, Family, recognise

_LARGEST_CONFIG = 1_000_000
"""Bytes. A config.json of a model has a few thousand."""


def named_folders(family: Family, roots: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The folders in `roots` with the names of the models they would hold."""
    for root in roots:
        for folder in subfolders(root):
            yield model_name(family, folder.name), folder


def cached_folders(family: Family, caches: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """What Hugging Face's cache has of the catalogue: the revision `main` stands for, then others, the newest first."""
    repositories = [known for known in CATALOGUE if known.family == family and known.repository]
    for cache in caches:
        for known in repositories:
            folder = cache / f"models--{known.repository.replace('/', '--')}"
            snapshots = subfolders(folder / "snapshots")
            main = _first_line(folder / "refs" / "main")
            snapshots.sort(key=lambda snapshot: (snapshot.name == main, os.path.getmtime(snapshot)), reverse=True)
            yield from ((known.name, snapshot) for snapshot in snapshots)


def model_name(family: Family, folder_name: str) -> str:
    """The catalogue's name of a model where it is recognised, else that of its folder."""
    known = recognise(family, folder_name)
    return known.name if known else folder_name


def config_of(folder: Path) -> dict:
    """What its config.json says; nothing where that is missing or something else."""
    file = folder / "config.json"
    try:
        is_readable = os.path.isfile(file) and os.path.getsize(file) <= _LARGEST_CONFIG
        config = json.loads(file.read_bytes()) if is_readable else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def has_weights(folder: Path) -> bool:
    return holds(folder, "model.safetensors") or holds(folder, "pytorch_model.bin")


def holds(folder: Path, *names: str) -> bool:
    return all(os.path.isfile(folder / name) for name in names)


def files_in(folder: Path, suffix: str) -> list[Path]:
    """Those with an ending, in any case, sorted."""
    return [path for path in _entries(folder) if path.suffix.lower() == suffix and os.path.isfile(path)]


def subfolders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if os.path.isdir(path)]


def _entries(folder: Path) -> list[Path]:
    """Sorted; none where the folder is missing or may not be read. Links count as what they lead to. Without hidden
    ones: macOS leaves a `._model.onnx` beside each model.onnx that it copies to another disk."""
    try:
        return sorted(folder / name for name in os.listdir(folder) if not name.startswith("."))
    except OSError:
        return []


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
