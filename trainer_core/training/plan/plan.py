"""TrainingPlan: every knob of a run. Same plan, same data, same base model: same LoRA, bit for bit on the CPU."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ...fields import read_fields
from .adapter import AdapterPlan
from .augment import AugmentPlan
from .captions import CaptionPlan
from .checks import require
from .ema import EmaPlan
from .loss import LossPlan
from .network import NetworkPlan
from .noise import NoisePlan
from .optimizer import OptimizerPlan
from .precision import PrecisionPlan
from .samples import SamplePlan
from .saving import SavingPlan
from .schedule import SchedulePlan
from .text import TextPlan
from .timesteps import TimestepPlan
from .validation import ValidationPlan
from .weighting import WeightingPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """Everything that decides a run, beside the dataset and the base model."""

    epochs: int = 10
    """How often the whole set, repeats included, is seen."""
    steps: int = 0
    """Steps after which the run ends, however many epochs that takes. 0: the epochs decide."""
    batch_size: int = 1
    """Pictures per batch."""
    accumulation: int = 1
    """Batches per step: their gradients are added up, as one batch that many times as large would give them, in the
    memory of one. An epoch has that many times fewer steps."""
    seed: int = 0
    """Seed of the start weights, picture order, noise and timesteps."""
    network: NetworkPlan = field(default_factory=NetworkPlan)
    adapter: AdapterPlan = field(default_factory=AdapterPlan)
    optimizer: OptimizerPlan = field(default_factory=OptimizerPlan)
    schedule: SchedulePlan = field(default_factory=SchedulePlan)
    loss: LossPlan = field(default_factory=LossPlan)
    weighting: WeightingPlan = field(default_factory=WeightingPlan)
    noise: NoisePlan = field(default_factory=NoisePlan)
    timesteps: TimestepPlan = field(default_factory=TimestepPlan)
    augment: AugmentPlan = field(default_factory=AugmentPlan)
    captions: CaptionPlan = field(default_factory=CaptionPlan)
    text: TextPlan = field(default_factory=TextPlan)
    precision: PrecisionPlan = field(default_factory=PrecisionPlan)
    ema: EmaPlan = field(default_factory=EmaPlan)
    samples: SamplePlan = field(default_factory=SamplePlan)
    saving: SavingPlan = field(default_factory=SavingPlan)
    validation: ValidationPlan = field(default_factory=ValidationPlan)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1", "10 is a good start")
        require(self.batch_size >= 1, "batch size", self.batch_size, "at least 1", "1 or 2 suit most GPUs")
        require(self.steps >= 0, "steps", self.steps, "0 or more", "0 lets the epochs decide")
        require(self.accumulation >= 1, "accumulation", self.accumulation, "at least 1", "1 is usual")
        require(0 <= self.seed < 2**63, "seed", self.seed, "between 0 and 2^63 - 1", "0 will do")

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
