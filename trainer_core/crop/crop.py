"""Dataset -> the same dataset with a crop box and a bucket for every picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..dataset.types import UNCUT, CropBox, Dataset, DatasetImage
from ..errors import TrainingError
from .buckets import bucket_sizes, bucket_within, nearest_bucket
from .faces import FaceFinder
from .overrides import Override, Overrides
from .rules import CropRules
from .subject import find_subject
from .window import Box, center_window, kept_share, tight_window, window_around, window_for_boxes


def crop_dataset(
    dataset: Dataset,
    rules: CropRules,
    *,
    boxes: Sequence[Sequence[Box]] = (),
    overrides: Mapping[str, Override] | None = None,
    faces: FaceFinder | None = None,
) -> Dataset:
    """The dataset with a window of its training size's aspect for each picture, and that size as its bucket.

    "focus" moves the window to the subject as `find_subject` knows it, "center" leaves it in the middle. The box's
    method says what chose it: "center" also where focus found no reason to move, "whole" where nothing is cut.
    Overrides come before everything.

    Args:
        boxes: of each picture, in its upright pixels: where somebody found its subject. None, or one list a picture.
        overrides: windows set by hand, by file name.
        faces: a face detector, for pictures without mask and boxes.

    Raises:
        TrainingError: as many lists of boxes as pictures are not given, an override names no picture, or a picture
            can no longer be read.
    """
    return dataset.with_images(tuple(crop_images(dataset, rules, boxes=boxes, overrides=overrides, faces=faces)))


def crop_images(
    dataset: Dataset,
    rules: CropRules,
    *,
    boxes: Sequence[Sequence[Box]] = (),
    overrides: Mapping[str, Override] | None = None,
    faces: FaceFinder | None = None,
) -> Iterator[DatasetImage]:
    """As `crop_dataset`, one picture at a time, for showing progress. Wrong arguments are refused at once."""
    if boxes and len(boxes) != len(dataset.images):
        raise TrainingError(
            f"there are {len(boxes)} lists of boxes for {len(dataset.images)} pictures. Find boxes on the pictures of "
            "this dataset, one list each."
        )
    by_hand = Overrides(overrides or {}, dataset.images)
    shapes = training_shapes(rules)

    def crops() -> Iterator[DatasetImage]:
        for index, image in enumerate(dataset.images):
            override, found = by_hand.of(image), boxes[index] if boxes else ()
            yield _by_hand(image, rules, override) if override else _by_itself(image, rules, shapes, found, faces)

    return crops()


def set_by_hand(dataset: Dataset, rules: CropRules, overrides: Overrides) -> Dataset:
    """A cropped dataset with the windows that a person has set in place of those that were chosen."""
    found = [(image, overrides.of(image)) for image in dataset.images]
    return dataset.with_images(tuple(_by_hand(image, rules, entry) if entry else image for image, entry in found))


def training_shapes(rules: CropRules) -> tuple[tuple[int, int], ...]:
    """The (width, height) that crops may get: the training size, or all buckets."""
    if not rules.buckets:
        return ((rules.width, rules.height),)
    smallest, largest = rules.smallest_bucket_side, rules.largest_bucket_side
    return bucket_sizes(rules.width, rules.height, step=rules.step, smallest=smallest, largest=largest)


def _bucket(image: DatasetImage, rules: CropRules, shapes: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    return _filled(image, rules, nearest_bucket(image.width, image.height, shapes))


def _filled(image: DatasetImage, rules: CropRules, shape: tuple[int, int]) -> tuple[int, int]:
    """As much of a shape as the picture has pixels for."""
    return shape if rules.enlarge else bucket_within(image.width, image.height, shape, rules.step)


def _by_hand(image: DatasetImage, rules: CropRules, override: Override) -> DatasetImage:
    """A box is drawn in the shape that is wanted; a place only says where."""
    shapes = training_shapes(rules)
    if override.box:
        left, top, right, bottom = override.box
        bucket = nearest_bucket(right - left, bottom - top, tuple(_filled(image, rules, shape) for shape in shapes))
    else:
        bucket = _bucket(image, rules, shapes)
    window = override.window(image.width, image.height, bucket[0] / bucket[1])
    return replace(image, bucket=bucket, crop=_box("override", window))


def _by_itself(
    image: DatasetImage,
    rules: CropRules,
    shapes: tuple[tuple[int, int], ...],
    boxes: Sequence[Box],
    faces: FaceFinder | None,
) -> DatasetImage:
    bucket = _bucket(image, rules, shapes)
    return replace(image, bucket=bucket, crop=_crop(image, rules, bucket, boxes, faces))


def _crop(
    image: DatasetImage,
    rules: CropRules,
    bucket: tuple[int, int],
    boxes: Sequence[Box],
    faces: FaceFinder | None,
) -> CropBox:
    width, height, aspect = image.width, image.height, bucket[0] / bucket[1]
    center = center_window(width, height, aspect)
    if rules.method == "center":
        return _box("whole" if center == (0, 0, width, height) else "center", center)
    if center == (0, 0, width, height) and not rules.zoom:
        return _box("whole", center)
    subject = find_subject(image, boxes, faces)
    if subject.faces:
        window = window_for_boxes(subject.faces, width, height, aspect)
    else:
        window = window_around(subject.importance, width, height, aspect)
    if rules.zoom and subject.box:
        window = tight_window(subject.box, width, height, aspect, *bucket)
    kept = kept_share(subject.core, width, height, window)
    if rules.pad and subject.box and kept < UNCUT:
        return _box(subject.method, _padded_window(subject.box, width, height, aspect))
    if window == center and subject.box is None:
        return _box("center", window)
    return _box(subject.method, window, kept)


def _box(method: str, window: Box, subject_kept: float = 1.0) -> CropBox:
    left, top, right, bottom = window
    return CropBox(left=left, top=top, right=right, bottom=bottom, method=method, subject_kept=round(subject_kept, 3))


def _padded_window(subject: Box, width: int, height: int, aspect: float) -> Box:
    """The smallest window of `aspect` that holds the picture's whole short axis and the whole subject.

    It reaches beyond the picture by as little as that takes, evenly on both sides.
    """
    if width > height * aspect:  # too wide: the window lies along x, and grows until the subject's width fits
        across = max(height * aspect, subject[2] - subject[0])
        down = across / aspect
        left = min(max((subject[0] + subject[2] - across) / 2, 0), width - across)
        top = (height - down) / 2
    else:
        down = max(width / aspect, subject[3] - subject[1])
        across = down * aspect
        top = min(max((subject[1] + subject[3] - down) / 2, 0), height - down)
        left = (width - across) / 2
    x, y = round(left), round(top)
    return x, y, x + round(across), y + round(down)
