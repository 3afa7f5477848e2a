"""What a picture's error counts."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class LossPlan:
    """What a picture's error counts."""

    prior_loss_weight: float = 1.0
    """Weight of regularisation pictures against training pictures."""
    masked: bool = False
    """Whether only what a picture's mask shows counts; pictures without a mask count whole."""

    def __post_init__(self) -> None:
        require(self.prior_loss_weight >= 0, "prior loss weight", self.prior_loss_weight, "0 or more", "1 is usual")
