"""Several datasets in one run, each with its own repeats; one of them may hold regularisation pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from ..errors import TrainingError
from .types import Dataset
from .wording import some_of


def merge(datasets: Sequence[Dataset]) -> Dataset:
    """One dataset of all of them, in the given order; each picture keeps its repeats, caption and crop.

    Raises:
        TrainingError: no dataset is given.
    """
    if not datasets:
        raise TrainingError("there is nothing to merge. Connect at least one dataset.")
    images = tuple(image for dataset in datasets for image in dataset.images)
    skipped = dict.fromkeys(entry for dataset in datasets for entry in dataset.skipped)
    words = dict.fromkeys(word for dataset in datasets for word in dataset.trigger_words)
    remarks = dict.fromkeys(remark for dataset in datasets for remark in dataset.remarks)
    if twice := _in_several(datasets):
        remarks[f"in more than one dataset, so trained once for each: {some_of(twice)}"] = None
    return Dataset(images=images, skipped=tuple(skipped), trigger_words=tuple(words), remarks=tuple(remarks))


def _in_several(datasets: Sequence[Dataset]) -> list[str]:
    """The names of the pictures that more than one dataset has."""
    if len(datasets) < 2:
        return []
    real = cache(os.path.realpath)  # of folders: asked of each picture it takes seconds for a large set
    places = Counter(place for dataset in datasets for place in {_place(image.path, real) for image in dataset.images})
    return [name for (_, name), count in places.items() if count > 1]


def _place(path: Path, real: Callable[[Path], str]) -> tuple[str, str]:
    """The folder and the name of a picture, with every link resolved."""
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    return real(path.parent), path.name


def combine(training: Dataset, regularisation: Dataset | None) -> Dataset:
    """One dataset of both; every picture of `regularisation` is marked as a regularisation picture."""
    if regularisation is None:
        return training
    marked = tuple(replace(image, is_regularisation=True) for image in regularisation.images)
    return merge([training, replace(regularisation, images=marked)])
