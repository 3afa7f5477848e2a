"""How far each step goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import TrainingError
from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerPlan:
    """How far each step goes."""

    name: Literal["AdamW"] = "AdamW"
    """The optimizer (Loshchilov & Hutter, arXiv:1711.05101)."""
    learning_rate: float = 1e-4
    """Rate of every part that has no rate of its own."""
    unet_rate: float | None = None
    """Rate of the UNet's adapters; empty: the learning rate; 0: the UNet is not trained."""
    text_encoder_rate: float | None = 5e-5
    """Rate of the text encoders' adapters; empty: the learning rate; 0: they are not trained,
    which is faster and usual for SDXL. A half to a tenth of the UNet rate is the usual choice."""
    weight_decay: float = 0.01
    """Pull of the weights towards zero, per step and rate."""
    max_grad_norm: float = 1.0
    """Longest gradient of a step; longer ones are scaled down to it. 0: no limit."""

    @property
    def rate_of_unet(self) -> float:
        return self.learning_rate if self.unet_rate is None else self.unet_rate

    @property
    def rate_of_text_encoder(self) -> float:
        return self.learning_rate if self.text_encoder_rate is None else self.text_encoder_rate

    def __post_init__(self) -> None:
        for name, rate in (
            ("learning rate", self.learning_rate),
            ("UNet rate", self.rate_of_unet),
            ("text-encoder rate", self.rate_of_text_encoder),
        ):
            require(0 <= rate <= 10, name, rate, "between 0 and 10", "1e-4 is a good start")
        if not self.rate_of_unet and not self.rate_of_text_encoder:
            raise TrainingError(
                "the UNet rate and the text-encoder rate are both 0, so nothing would be trained. "
                "Set one of them; 1e-4 is a good start."
            )
        require(self.weight_decay >= 0, "weight decay", self.weight_decay, "0 or more", "0.01 is usual")
        require(self.max_grad_norm >= 0, "max grad norm", self.max_grad_norm, "0 or more", "1 is usual")
