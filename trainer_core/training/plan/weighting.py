"""What a timestep's error counts against another's."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightingPlan:
    """What a timestep's error counts against another's; several weights multiply. All off: every timestep counts 1."""

    min_snr_gamma: float = 0.0
    """Highest signal-to-noise ratio that still counts in full; cleaner timesteps, which are easy and many, count less.
    5 is usual and often reaches the same picture in fewer steps; 1 is stronger. 0: off."""
    debiased: bool = False
    """Count noisy timesteps more, where a small error in the answer is a large one in the picture. Gives firm shapes
    early; choose it or min-SNR gamma."""
    scale_v_prediction: bool = False
    """Only with v-prediction: weigh timesteps as a loss on the noise would. Favours clean timesteps, so detail."""
    v_prediction_like: float = 0.0
    """Only with epsilon prediction: add this many times the loss that v-prediction would have. Favours noisy
    timesteps, so large shapes. 0: off."""

    def __post_init__(self) -> None:
        require(self.min_snr_gamma >= 0, "min-SNR gamma", self.min_snr_gamma, "0 or more", "5 is usual, 0 is off")
        require(
            self.v_prediction_like >= 0, "v-prediction-like loss", self.v_prediction_like, "0 or more", "0 is usual"
        )
