"""TrainingPlan: every knob of a run. Same plan, same data, same base model: same LoRA, bit for bit on the CPU."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ...fields import read_fields
from .augment import AugmentPlan
from .checks import require
from .loss import LossPlan
from .network import NetworkPlan
from .optimizer import OptimizerPlan
from .precision import PrecisionPlan
from .saving import SavingPlan
from .schedule import SchedulePlan
from .text import TextPlan


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
        require(self.epochs >= 1, "epochs", self.epochs, "at least 1", "10 is a good start")
        require(self.batch_size >= 1, "batch size", self.batch_size, "at least 1", "1 or 2 suit most GPUs")
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
