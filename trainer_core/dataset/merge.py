"""Several datasets in one run, each with its own repeats; one of them may hold regularisation pictures."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

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
    places = Counter(os.path.realpath(image.path) for image in images)
    twice = [os.path.basename(place) for place, count in places.items() if count > 1]
    if twice:
        remarks[f"in more than one dataset, so trained once for each: {some_of(twice)}"] = None
    return Dataset(images=images, skipped=tuple(skipped), trigger_words=tuple(words), remarks=tuple(remarks))


def combine(training: Dataset, regularisation: Dataset | None) -> Dataset:
    """One dataset of both; every picture of `regularisation` is marked as a regularisation picture."""
    if regularisation is None:
        return training
    marked = tuple(replace(image, is_regularisation=True) for image in regularisation.images)
    return merge([training, replace(regularisation, images=marked)])
