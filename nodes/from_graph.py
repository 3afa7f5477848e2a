"""What other nodes made (pictures, masks, boxes, captions) as parts of a dataset: files by content, never pixels."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from ..trainer_core.crop.window import Box
from ..trainer_core.dataset.types import Dataset, DatasetImage, Mask
from ..trainer_core.errors import TrainingError
from ..trainer_core.files import write_atomic

T = TypeVar("T")


def only(values: Sequence[T]) -> T:
    """The value of an input of a node that takes lists: widgets come as lists of one."""
    return values[0]


def single_pictures(batches: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Every picture (H, W, C) or mask (H, W) of a list of batches, in order."""
    return [single for batch in batches for single in (batch if batch.ndim > 2 else batch[None])]


def with_masks(dataset: Dataset, masks: Sequence[torch.Tensor] | None, folder: Path) -> Dataset:
    """The dataset with a mask for each picture, kept in `folder`.

    Raises:
        TrainingError: there is not one mask a picture.
    """
    if masks is None:
        return dataset
    singles = single_pictures(masks)
    _refuse_other_number("masks", len(singles), dataset)
    return dataset.with_images(
        tuple(replace(image, mask=keep_mask(mask, folder)) for image, mask in zip(dataset.images, singles, strict=True))
    )


def keep_mask(mask_HW: torch.Tensor, folder: Path) -> Mask:
    """Write a mask (0..1) under the hash of its bytes."""
    path, fingerprint = _keep(_as_picture(mask_HW), folder)
    return Mask(path=path, fingerprint=fingerprint)


def keep_picture(picture_HWC: torch.Tensor, folder: Path) -> Path:
    """Write a picture (0..1, 3 or 4 channels) losslessly under the hash of its bytes."""
    return _keep(_as_picture(picture_HWC), folder)[0]


def boxes_of(dataset: Dataset, boxes: Any, pictures: Sequence[torch.Tensor] | None) -> list[list[Box]]:
    """Boxes of each picture, in its own pixels; empty where none are connected.

    `boxes` is what ComfyUI's detectors give: dicts of x, y, width and height, in lists by picture, in a list by call.
    `pictures` are those on which they were found, where their size is not the files'.

    Raises:
        TrainingError: there is not one list of boxes a picture, or one picture each.
    """
    if boxes is None:
        return []
    frames = [frame for call in boxes for frame in _frames(call)]
    _refuse_other_number("lists of boxes", len(frames), dataset)
    shown = [None] * len(frames) if pictures is None else [p.shape[:2] for p in single_pictures(pictures)]
    _refuse_other_number("pictures with boxes", len(shown), dataset)
    return [
        [_scaled(box, image, size) for box in frame]
        for frame, image, size in zip(frames, dataset.images, shown, strict=True)
    ]


def _frames(call: Any) -> list[list[dict[str, Any]]]:
    """One detector call's answer as a list of boxes for each of its pictures."""
    if isinstance(call, dict):
        return [[call]]
    if all(isinstance(entry, dict) for entry in call) and call:
        return [list(call)]
    return [[entry] if isinstance(entry, dict) else list(entry) for entry in call]


def _scaled(box: dict[str, Any], image: DatasetImage, shown: tuple[int, int] | None) -> Box:
    height, width = shown or (image.height, image.width)
    across, down = image.width / width, image.height / height
    try:
        left, top, right, bottom = box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
    except (KeyError, TypeError):
        raise TrainingError(
            f"{box!r} is not a box. Connect the boxes of a detector: x, y, width and height in pixels."
        ) from None
    return round(left * across), round(top * down), round(right * across), round(bottom * down)


def _refuse_other_number(what: str, count: int, dataset: Dataset) -> None:
    if count != len(dataset.images):
        raise TrainingError(
            f"there are {count} {what} for {len(dataset.images)} pictures. Make them from Dataset Pictures of this "
            "very dataset, so that there is one a picture."
        )


def _as_picture(pixels: torch.Tensor) -> Image.Image:
    values = (pixels.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    return Image.fromarray(np.ascontiguousarray(values))


def _keep(picture: Image.Image, folder: Path) -> tuple[Path, str]:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    fingerprint = hashlib.blake2b(buffer.getvalue(), digest_size=16).hexdigest()
    path = folder / f"{fingerprint}.png"
    if not path.is_file():
        write_atomic(path, buffer.getvalue())
    return path, fingerprint
