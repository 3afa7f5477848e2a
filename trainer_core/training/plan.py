"""TrainingPlan: every knob of a run. Same plan, same data, same base model: same LoRA, bit for bit on the CPU."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import TrainingError
from ..fields import read_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPlan:
    """The size of the LoRA."""

    rank: int = 16
    """Inner width of each adapter; the file grows linearly with it. 8-32 for drawn styles, 64-128 for photos."""
    alpha: float = 8.0
    """Scale of the adapters: their effect is alpha / rank. Half the rank is the usual choice."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulePlan:
    """How the rates change during a run."""

    name: Literal["constant", "cosine"] = "cosine"
    """constant, or half a cosine wave from the full rate to 0."""
    warmup_steps: int = 0
    """Steps over which the rates climb from 0 to full."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossPlan:
    """What a picture's error counts."""

    prior_loss_weight: float = 1.0
    """Weight of regularisation pictures against training pictures."""
    masked: bool = False
    """Whether only what a picture's mask shows counts; pictures without a mask count whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentPlan:
    """How a picture varies from visit to visit."""

    flip: bool = False
    """Show every second visit, by chance, mirrored left to right. Not for subjects that are not symmetric."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPlan:
    """How captions become conditioning."""

    clip_skip: int = 1
    """Which CLIP layer from the end is read, as ComfyUI's "stop at CLIP layer" counts without its sign:
    1 = the last, 2 = the one before. SDXL always reads the one before the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrecisionPlan:
    """Number formats. The LoRA itself is always trained in fp32."""

    training: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Format of the base model and of the arithmetic. auto: fp32 on a CPU; on a GPU bf16, or fp16 where it is older."""
    saving: Literal["fp16", "bf16", "fp32"] = "fp16"
    """Format of the saved LoRA."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: much less memory, about a third slower."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavingPlan:
    """What is kept on the way."""

    every_epochs: int = 1
    """Keep a LoRA after every N epochs; the last epoch is always kept. 0: only the last."""
    state_every_steps: int = 100
    """Write the resumable state every N steps, besides at every kept epoch and at every stop. 0: only then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """Everything that decides a run, beside the dataset and the base model."""

    epochs: int = 10
    """How often the whole set, repeats included, is seen."""
    batch_size: int = 1
    """Pictures per step."""
    seed: int = 0
    """Seed of the start weights, picture order, noise and timesteps."""
    network: NetworkPlan = field(default_factory=NetworkPlan)
    optimizer: OptimizerPlan = field(default_factory=OptimizerPlan)
    schedule: SchedulePlan = field(default_factory=SchedulePlan)
    loss: LossPlan = field(default_factory=LossPlan)
    augment: AugmentPlan = field(default_factory=AugmentPlan)
    text: TextPlan = field(default_factory=TextPlan)
    precision: PrecisionPlan = field(default_factory=PrecisionPlan)
    saving: SavingPlan = field(default_factory=SavingPlan)

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "epochs", self.epochs, "at least 1", "10 is a good start")
        _require(self.batch_size >= 1, "batch size", self.batch_size, "at least 1", "1 or 2 suit most GPUs")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "between 0 and 2^63 - 1", "0 will do")
        network, optimizer, saving = self.network, self.optimizer, self.saving
        _require(network.rank >= 1, "rank", network.rank, "at least 1", "16 is a good start")
        _require(network.rank <= 1024, "rank", network.rank, "at most 1024", "128 is large already")
        _require(network.alpha > 0, "alpha", network.alpha, "above 0", f"half the rank is {network.rank / 2:g}")
        for name, rate in (
            ("learning rate", optimizer.learning_rate),
            ("UNet rate", optimizer.rate_of_unet),
            ("text-encoder rate", optimizer.rate_of_text_encoder),
        ):
            _require(0 <= rate <= 10, name, rate, "between 0 and 10", "1e-4 is a good start")
        if not optimizer.rate_of_unet and not optimizer.rate_of_text_encoder:
            raise TrainingError(
                "the UNet rate and the text-encoder rate are both 0, so nothing would be trained. "
                "Set one of them; 1e-4 is a good start."
            )
        _require(optimizer.weight_decay >= 0, "weight decay", optimizer.weight_decay, "0 or more", "0.01 is usual")
        _require(optimizer.max_grad_norm >= 0, "max grad norm", optimizer.max_grad_norm, "0 or more", "1 is usual")
        _require(self.schedule.warmup_steps >= 0, "warm-up steps", self.schedule.warmup_steps, "0 or more", "0 is fine")
        _require(
            self.loss.prior_loss_weight >= 0,
            "prior loss weight",
            self.loss.prior_loss_weight,
            "0 or more",
            "1 is usual",
        )
        _require(
            1 <= self.text.clip_skip <= 12,
            "clip skip",
            self.text.clip_skip,
            "between 1 and 12",
            "1 for photos, 2 for anime",
        )
        _require(saving.every_epochs >= 0, "save every epochs", saving.every_epochs, "0 or more", "1 keeps every epoch")
        _require(
            saving.state_every_steps >= 0,
            "save state every steps",
            saving.state_every_steps,
            "0 or more",
            "100 is usual",
        )

    def to_json(self) -> dict[str, Any]:
        """The plan as nested JSON-able dicts; `from_json` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrainingPlan:
        """Read a plan; fields left out keep their defaults.

        Raises:
            TrainingError: an unknown field, a wrong type or a value out of range, by name.
        """
        return read_fields(cls, value, "plan")


def _require(condition: bool, name: str, value: float, rule: str, advice: str) -> None:
    if not condition or not math.isfinite(value):
        raise TrainingError(f"{name} must be {rule}, got {value:g}. {advice[0].upper()}{advice[1:]}.")
