"""Where the subject of a picture is, from the surest source there is: mask, boxes, faces, saliency, nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..dataset.pictures import open_mask, open_picture
from ..dataset.types import WHITE, DatasetImage
from .faces import FaceFinder
from .saliency import importance_map
from .window import Box, head_box

_MAP_SIDE = 256
"""Pixels of the long side at which masks and boxes are weighed."""
_STRONG = 0.5
"""Of the peak: what is this salient counts as the subject itself, the rest as its surroundings."""
_LEAST_MASK = 0.0005
"""Share of a picture that a mask must cover; less is noise at its edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is known of a picture's subject."""

    method: str
    """Which source said so, as `CropBox.method` has it."""
    importance: np.ndarray
    """(rows, columns), not negative, over the whole picture: what the window should hold."""
    core: np.ndarray
    """The same for the subject alone, which should not be cut."""
    box: Box | None = None
    """Around the subject in pixels of the picture, where its extent is known and not only guessed."""
    faces: tuple[Box, ...] = ()


def find_subject(image: DatasetImage, boxes: Sequence[Box] = (), faces: FaceFinder | None = None) -> Subject:
    """The subject of a picture, by the first source that knows one.

    1. its mask; 2. `boxes`, which somebody found on it; 3. what `faces` finds; 4. saliency.

    Raises:
        UnreadableFile: the picture or its mask can no longer be read.
    """
    size = (image.width, image.height)
    if image.mask and (subject := _of_mask(image)):
        return subject
    if inside := [box for box in (_clipped(box, *size) for box in boxes) if box]:
        return _of_boxes(inside, size)
    picture = open_picture(image.path, image.background or WHITE)
    if faces and (found := faces.find(picture)):
        heads = [head_box(face, *size) for face in found]
        return replace(_of_boxes(heads, size), method="face", faces=tuple(found))
    salient = importance_map(picture)
    peak = salient.max(initial=0.0)
    return Subject("focus", salient, np.where(salient >= _STRONG * peak, salient, 0.0))


def _of_mask(image: DatasetImage) -> Subject | None:
    """None where the mask shows nothing."""
    mask = open_mask(image)
    mask.thumbnail((_MAP_SIDE, _MAP_SIDE), Image.Resampling.BOX)
    weights = np.asarray(mask, dtype=np.float64) / 255
    solid = weights >= 0.5
    if solid.mean() < _LEAST_MASK:
        return None
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    across, down = image.width / weights.shape[1], image.height / weights.shape[0]
    box = (
        round(columns[0] * across), round(rows[0] * down),
        round((columns[-1] + 1) * across), round((rows[-1] + 1) * down),
    )  # fmt: skip
    return Subject("mask", weights, weights, box)


def _of_boxes(boxes: Sequence[Box], size: tuple[int, int]) -> Subject:
    weights = _weighed(boxes, size, _map_shape(size))
    return Subject("boxes", weights, weights, _around(boxes))


def _weighed(boxes: Sequence[Box], size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """All boxes count; the first, which is the surest or largest, as much as the others together."""
    weights = _drawn(boxes[0], size, shape)
    for box in boxes[1:]:
        weights = weights + _drawn(box, size, shape) / (len(boxes) - 1)
    return weights


def _around(boxes: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _map_shape(size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of a map of a picture of `size` (width, height)."""
    scale = _MAP_SIDE / max(size)
    return max(1, round(size[1] * scale)), max(1, round(size[0] * scale))


def _drawn(box: Box, size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """How much of each cell of the map a box covers, 0 to 1."""
    covered = []
    for start, end, length, cells in ((box[1], box[3], size[1], shape[0]), (box[0], box[2], size[0], shape[1])):
        edges = np.linspace(0, length, cells + 1)
        overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        covered.append(overlap.clip(0) / (length / cells))
    return covered[0][:, None] * covered[1][None, :]


def _clipped(box: Box, width: int, height: int) -> Box | None:
    left, top, right, bottom = box
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    return (left, top, right, bottom) if right > left and bottom > top else None
