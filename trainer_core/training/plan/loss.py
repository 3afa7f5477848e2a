"""What a picture's error counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .checks import require

LossKind = Literal["l2", "huber", "smooth_l1"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LossPlan:
    """What a picture's error counts."""

    prior_loss_weight: float = 1.0
    """Weight of regularisation pictures against training pictures."""
    masked: bool = False
    """Whether only what a picture's mask shows counts; pictures without a mask count whole."""
    kind: LossKind = "l2"
    """How an error counts: l2 by its square, the usual loss. huber and smooth_l1 by its square while it is small and
    by its size beyond a threshold, so that odd pictures and stray marks in a set pull less; huber is l2's size for
    small errors, smooth_l1 larger the lower the threshold."""
    huber_c: float = 0.1
    """The threshold between small and large errors of huber and smooth_l1, above 0 and at most 1; with a schedule,
    that of the noisiest timestep."""
    huber_schedule: Literal["constant", "exponential", "snr"] = "snr"
    """How the threshold follows the noise: constant; or from near 1 at the clean end down to `huber_c`, by the timestep
    (exponential) or by the signal-to-noise ratio (snr), so that fine detail keeps the plain loss."""

    def __post_init__(self) -> None:
        require(self.prior_loss_weight >= 0, "prior loss weight", self.prior_loss_weight, "0 or more", "1 is usual")
        require(0 < self.huber_c <= 1, "huber c", self.huber_c, "above 0 and at most 1", "0.1 is usual")
