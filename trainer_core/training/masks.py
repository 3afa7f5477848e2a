"""The masks of a masked loss, as large as latents."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..ahead import prepare_ahead
from ..dataset.pictures import training_mask
from ..dataset.types import DatasetImage
from ..progress import StageReport
from .latents import Visit

_AT_ONCE = 16


def read_masks(
    images: Sequence[DatasetImage], pixels_per_latent: int, *, flip: bool
) -> Generator[StageReport, None, dict[Visit, Tensor]]:
    """The mask of every visit, with `flip` mirrored ones as well. Files are read by threads.

    Raises:
        TrainingError: a mask was changed or broke since the dataset was read.
    """
    masks: dict[Visit, Tensor] = {}
    places = range(len(images))
    batches = [places[start : start + _AT_ONCE] for start in places[::_AT_ONCE]]
    for batch, found in prepare_ahead(batches, lambda place: latent_mask(images[place], pixels_per_latent)):
        for place, mask in zip(batch, found, strict=True):
            masks |= {(place, mirrored): mask.flip(-1) if mirrored else mask for mirrored in (False, True)[: 1 + flip]}
        yield StageReport(stage="reading masks", done=batch[-1] + 1, total=len(images))
    return masks


def latent_mask(image: DatasetImage, pixels_per_latent: int) -> Tensor:
    """How much each place of a picture's latent shows of its mask (1, H, W), 0 to 255, uint8; all of it without one."""
    width, height = (side // pixels_per_latent for side in image.bucket)
    mask = training_mask(image)
    if mask is None:
        return torch.full((1, 1, 1), 255, dtype=torch.uint8).expand(1, height, width)
    return torch.from_numpy(np.array(mask.resize((width, height), Image.Resampling.BOX)))[None]
