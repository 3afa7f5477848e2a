"""How far each step goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import TrainingError
from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerPlan:
    """How far each step goes, and in which direction."""

    name: Literal["AdamW", "AdamW8bit", "Lion", "Lion8bit", "Prodigy", "Adafactor", "AdamWScheduleFree", "CAME"] = (
        "AdamW"
    )
    """AdamW (arXiv:1711.05101): the safe choice. AdamW8bit, Lion8bit: the same in a quarter of the memory.
    Lion (arXiv:2302.06675): wants a third to a tenth of AdamW's rate. Prodigy (arXiv:2306.06101): finds the rate by
    itself; its rates are 1. Adafactor (arXiv:1804.04235) and CAME (arXiv:2307.02047): little memory.
    AdamWScheduleFree (arXiv:2405.15682): averages weights instead of lowering rates; its schedule is constant."""
    learning_rate: float = 1e-4
    """Rate of every part that has no rate of its own."""
    unet_rate: float | None = None
    """Rate of the UNet's adapters; empty: the learning rate; 0: the UNet is not trained."""
    text_encoder_rate: float | None = 5e-5
    """Rate of the text encoders' adapters; empty: the learning rate; 0: they are not trained,
    which is faster and usual for SDXL. A half to a tenth of the UNet rate is the usual choice."""
    lora_plus_ratio: float = 1.0
    """Rate of the up matrices as a multiple of the down matrices' (LoRA+, arXiv:2402.12354), 1 to 100. 1: off;
    4 to 16 learns faster, with a lower learning rate."""
    weight_decay: float = 0.01
    """Pull of the weights towards zero, per step and rate."""
    max_grad_norm: float = 1.0
    """Longest gradient of a step; longer ones are scaled down to it. 0: no limit."""
    beta1: float | None = None
    """Memory of the gradient's mean, above 0 and below 1; empty: the optimizer's own, 0.9, or none in Adafactor."""
    beta2: float | None = None
    """Memory of the gradient's square, above 0 and below 1; empty: the optimizer's own, 0.999, or 0.99 in Lion.
    0.99 is common with Prodigy; Adafactor has none."""
    prodigy_d_coef: float = 1.0
    """Prodigy only: factor on the rate that it finds. 0.5 where it learns too fast, 2 where too slowly."""
    prodigy_d0: float = 1e-6
    """Prodigy only: rate that it starts to search from. 1e-5 shortens the search of short runs."""
    prodigy_bias_correction: bool = True
    """Prodigy only: correct the means of the first steps, as AdamW does; the rate is found sooner."""

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
        ratio = self.lora_plus_ratio
        require(1 <= ratio <= 100, "LoRA+ ratio", ratio, "between 1 and 100", "1 is off, 4 to 16 are usual")
        require(self.weight_decay >= 0, "weight decay", self.weight_decay, "0 or more", "0.01 is usual")
        require(self.max_grad_norm >= 0, "max grad norm", self.max_grad_norm, "0 or more", "1 is usual")
        for name, beta in (("beta1", self.beta1), ("beta2", self.beta2)):
            if beta is not None:
                require(0 < beta < 1, name, beta, "between 0 and 1", "leave it empty for the optimizer's own")
        require(0 < self.prodigy_d_coef <= 100, "Prodigy's d_coef", self.prodigy_d_coef, "above 0", "1 is usual")
        require(0 < self.prodigy_d0 <= 1, "Prodigy's d0", self.prodigy_d0, "above 0 and at most 1", "1e-6 is usual")
        self._check_prodigy()
        if self.name == "Adafactor" and self.beta2 is not None:
            raise TrainingError("Adafactor has no beta2: its memory grows with the steps. Leave beta2 empty.")

    def _check_prodigy(self) -> None:
        """Prodigy finds one rate for everything; other rates beside it would be ignored."""
        if self.name != "Prodigy":
            return
        unet, text_encoder = self.rate_of_unet, self.rate_of_text_encoder
        if unet and text_encoder and unet != text_encoder:
            raise TrainingError(
                f"Prodigy finds one rate for all parts, but the UNet rate is {unet:g} and the text-encoder rate "
                f"{text_encoder:g}. Set both to 1, or one of them to 0."
            )
        if self.lora_plus_ratio != 1:
            raise TrainingError("Prodigy finds one rate for all matrices. Set the LoRA+ ratio to 1, or choose AdamW.")
