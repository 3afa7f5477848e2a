"""The pictures that a run learns from, as its folder has them."""

from __future__ import annotations

from pathlib import Path

from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames
from ..files import read_json
from ..training.run import JOB


def dataset_of(folder: Path) -> Dataset:
    """What a run was given.

    Raises:
        TrainingError: its job file is not there, or of another version.
    """
    return Dataset.from_json(read_json(folder / JOB)["dataset"])


def pictures_of(folder: Path) -> dict[str, DatasetImage]:
    """The pictures that are trained or held out, in their order, by the names that the run's measurements have for
    them.

    Raises:
        TrainingError: as `dataset_of`.
    """
    dataset = dataset_of(folder)
    names = FileNames(dataset)
    return {names.of(image.path): image for image in dataset.training_images}
