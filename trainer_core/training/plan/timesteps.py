"""Which timesteps are trained, and what the UNet answers there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import TrainingError
from .checks import require

ZERO_SNR_NEEDS_V = (
    "zero terminal SNR needs v-prediction: at its last timestep nothing of the picture is left, so there is no noise "
    "to tell from it. Set the prediction to v_prediction, or zero terminal SNR to off."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TimestepPlan:
    """Which timesteps are trained, from 0 (almost clean) to 999 (almost only noise), and what the UNet answers."""

    first: int = 0
    """Cleanest timestep that is trained. Raise it to leave fine detail as it is."""
    last: int = 999
    """Noisiest timestep that is trained, itself included. Lower it to leave layout and colour as they are."""
    sampling: Literal["uniform", "logit_normal", "content", "style"] = "uniform"
    """How often each is drawn: all alike; mostly the middle (logit_normal); mostly noisy ones, where layout and shapes
    are made (content); or mostly clean ones, where texture is made (style)."""
    logit_mean: float = 0.0
    """Only logit_normal: above 0 noisier, below 0 cleaner, -4 to 4."""
    logit_std: float = 1.0
    """Only logit_normal: how far the draws spread, above 0 and at most 10."""
    bias: float = 3.0
    """Only content and style: how strongly they lean to their end, 1 (not at all) to 10."""
    prediction: Literal["as the base model", "epsilon", "v_prediction"] = "as the base model"
    """What the base model was made to answer: the noise or the velocity. Set it only for a file that does not say so;
    the wrong one gives noise."""
    zero_terminal_snr: Literal["as the base model", "on", "off"] = "as the base model"
    """Whether the base model was made to start from noise alone. Needs v-prediction. Set it only for a file that does
    not say so."""

    def __post_init__(self) -> None:
        require(0 <= self.first <= 999, "first timestep", self.first, "between 0 and 999", "0 is usual")
        require(
            self.first <= self.last <= 999,
            "last timestep",
            self.last,
            f"between the first, {self.first}, and 999",
            "999 is usual",
        )
        require(-4 <= self.logit_mean <= 4, "logit mean", self.logit_mean, "between -4 and 4", "0 is usual")
        require(0 < self.logit_std <= 10, "logit std", self.logit_std, "above 0 and at most 10", "1 is usual")
        require(1 <= self.bias <= 10, "timestep bias", self.bias, "between 1 and 10", "3 is usual")
        if self.prediction == "epsilon" and self.zero_terminal_snr == "on":
            raise TrainingError(ZERO_SNR_NEEDS_V)
