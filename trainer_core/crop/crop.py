"""Dataset -> the same dataset with a crop box and a bucket for every picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..dataset.pictures import open_picture, training_pixels
from ..dataset.types import CropBox, Dataset, DatasetImage
from ..errors import TrainingError
from ..files import file_name, write_atomic
from .buckets import bucket_sizes, nearest_bucket
from .window import center_window, focus_window

CropMethod = Literal["focus", "center"]
SMALLEST_SIZE = 32
LARGEST_SIZE = 4096


def crop_dataset(
    dataset: Dataset,
    *,
    width: int,
    height: int,
    method: CropMethod,
    use_buckets: bool = False,
    step: int | None = None,
) -> Dataset:
    """The dataset with each picture's largest window of the training size's aspect, and that size as its
    bucket.

    "focus" moves the window to the subject, "center" leaves it in the middle. With `use_buckets` each picture gets
    the bucket nearest to its own aspect, so that little is cut; width * height is then the area, and `step` divides
    all sides (64 pixels unless given, as the models ask; 8 for pictures too small for that). The box's method says
    what chose it: "center" also where focus found no reason to move, "whole" where nothing is cut.

    Raises:
        TrainingError: a size or method that cannot be used, or a picture that can no longer be read.
    """
    cropped = crop_images(dataset, width=width, height=height, method=method, use_buckets=use_buckets, step=step)
    return dataset.with_images(tuple(cropped))


def crop_images(
    dataset: Dataset,
    *,
    width: int,
    height: int,
    method: CropMethod,
    use_buckets: bool = False,
    step: int | None = None,
) -> Iterator[DatasetImage]:
    """As `crop_dataset`, one picture at a time, for showing progress. Wrong arguments are refused at once."""
    if method not in ("focus", "center"):
        raise TrainingError(f'there is no crop method {method!r}. Choose "focus" or "center".')
    for name, size in (("width", width), ("height", height)):
        if size % 8 or not SMALLEST_SIZE <= size <= LARGEST_SIZE:
            raise TrainingError(
                f"the training {name} is {size}. Choose a multiple of 8 from {SMALLEST_SIZE} to {LARGEST_SIZE}."
            )
    step = step or (64 if min(width, height) >= 256 else 8)
    buckets = bucket_sizes(width, height, step=step) if use_buckets else ((width, height),)
    return (_crop_image(image, buckets, method) for image in dataset.images)


def write_crops(dataset: Dataset, folder: Path) -> Iterator[Path]:
    """Write what training sees of each picture into `folder`, as PNG with its caption beside it.

    Yields each picture's path once it is written. The folder must be new or empty. Repeats are not kept: they
    belong to a folder's name.

    Raises:
        TrainingError: the folder is not empty or cannot be written to, or a picture cannot be
        read.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TrainingError(f"{folder} is not empty. Choose a new folder for the crops.")
    return _write_crops(dataset, folder)


def _crop_image(image: DatasetImage, buckets: tuple[tuple[int, int], ...], method: CropMethod) -> DatasetImage:
    bucket = nearest_bucket(image.width, image.height, buckets)
    aspect = bucket[0] / bucket[1]
    center = center_window(image.width, image.height, aspect)
    whole = (0, 0, image.width, image.height)
    box = focus_window(open_picture(image.path), aspect) if method == "focus" and center != whole else center
    chosen_by = "whole" if box == whole else "center" if box == center else "focus"
    left, top, right, bottom = box
    return replace(image, bucket=bucket, crop=CropBox(left=left, top=top, right=right, bottom=bottom, method=chosen_by))


def _write_crops(dataset: Dataset, folder: Path) -> Iterator[Path]:
    taken: set[str] = set()
    for image in dataset.images:
        path = folder / f"{_free_name(file_name(image.path.stem), taken)}.png"
        buffer = io.BytesIO()
        training_pixels(image).save(buffer, "PNG")
        write_atomic(path, buffer.getvalue())
        if image.caption:
            write_atomic(path.with_suffix(".txt"), f"{image.caption}\n".encode())
        yield path


def _free_name(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem_2` and so on if that name is taken; upper and lower case count as one."""
    name, number = stem, 2
    while name.casefold() in taken:
        name, number = f"{stem}_{number}", number + 1
    taken.add(name.casefold())
    return name
