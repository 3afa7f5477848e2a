"""How pictures are cropped: the training size, where the window goes, which shapes there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import TrainingError

SMALLEST_SIZE = 32
LARGEST_SIZE = 4096
_SMALL = 256
"""Pixels. Sizes below it are for tiny models, whose sides cannot go in steps of 64."""

CropMethod = Literal["focus", "center"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CropRules:
    """The choices a person has when a dataset is cropped.

    Raises:
        TrainingError: a size or limit that no model can train.
    """

    width: int = 512
    height: int = 512
    method: CropMethod = "focus"
    """focus moves the window to the subject, center leaves it in the middle."""
    buckets: bool = False
    """Whether each picture gets the shape nearest to its own, of about width * height pixels."""
    bucket_step: int | None = None
    """Pixels that divide a bucket's sides: 8, 16, .. 64. Unset: 64, or 8 where the training size is below 256."""
    smallest_bucket_side: int | None = None
    """Unset: half the smaller side of the training size, at most 256."""
    largest_bucket_side: int | None = None
    """Unset: twice the larger side; a smaller limit shrinks wide pictures far below the wanted number of pixels."""
    enlarge: bool = False
    """Whether a picture smaller than its training size is enlarged to it. Otherwise it is trained smaller."""
    zoom: bool = False
    """Whether the window closes in on a subject known by mask, box or face, never below the training size."""
    pad: bool = False
    """Whether a picture is padded where its known subject would be cut."""

    def __post_init__(self) -> None:
        if self.method not in ("focus", "center"):
            raise TrainingError(f'there is no crop method {self.method!r}. Choose "focus" or "center".')
        for name, size in (("width", self.width), ("height", self.height)):
            if size % 8 or not SMALLEST_SIZE <= size <= LARGEST_SIZE:
                raise TrainingError(
                    f"the training {name} is {size}. Choose a multiple of 8 from {SMALLEST_SIZE} to {LARGEST_SIZE}."
                )
        if self.smallest_bucket_side is not None and self.smallest_bucket_side < 8:
            raise TrainingError(f"the smallest bucket side is {self.smallest_bucket_side}. Choose 8 pixels or more.")
        if self.largest_bucket_side is not None and self.largest_bucket_side < 8:
            raise TrainingError(f"the largest bucket side is {self.largest_bucket_side}. Choose 8 pixels or more.")
        if self.step % 8 or not 8 <= self.step <= 64:
            raise TrainingError(f"the bucket step is {self.step}. Choose 8, 16, 24, 32, 40, 48, 56 or 64.")

    @property
    def step(self) -> int:
        """Pixels that divide the sides of every shape but the training size itself."""
        if self.bucket_step is not None:
            return self.bucket_step
        return 64 if min(self.width, self.height) >= _SMALL else 8
