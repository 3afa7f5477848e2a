"""Crops as files, for a look at them or for another trainer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..dataset.caption_tables import folded
from ..dataset.pictures import training_pixels
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from ..files import file_name, write_atomic, write_picture


def write_crops(dataset: Dataset, folder: Path) -> Iterator[Path]:
    """Write what training sees of each picture into `folder`, as PNG with its captions beside it, one a line.

    Yields each picture's path once it is written. The folder must be new or empty. Where there are regularisation
    pictures, each kind has a folder in it of its own. Repeats are not kept, as they belong to a folder's name, nor are
    masks.

    Raises:
        TrainingError: the folder is not empty or cannot be read or written to, or a picture cannot be read.
    """
    if os.path.lexists(folder) and not _is_empty(folder):
        raise TrainingError(f"{folder} is not empty. Choose a new folder for the crops.")
    return _write_crops(dataset, folder)


def _is_empty(folder: Path) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:
        return False  # a file, or what may not be looked into


def _write_crops(dataset: Dataset, folder: Path) -> Iterator[Path]:
    folders = {False: folder / "training", True: folder / "regularisation"} if dataset.regularisation_images else {}
    taken: set[str] = set()
    for image in dataset.images:
        path = folders.get(image.is_regularisation, folder) / f"{_free_name(_stem(image), taken)}.png"
        write_picture(path, training_pixels(image))
        if any(image.captions):
            write_atomic(path.with_suffix(".txt"), "".join(f"{caption}\n" for caption in image.captions).encode())
        yield path


def _stem(image: DatasetImage) -> str:
    """Its file's name without suffix, as far as every system accepts it."""
    try:
        return file_name(image.path.stem)
    except TrainingError:
        return "picture"


def _free_name(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem_2` and so on where that is taken; disks may take names for one that differ in case or in how
    accents are put together."""
    name, number = stem, 2
    while folded(name) in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(folded(name))
    return name
