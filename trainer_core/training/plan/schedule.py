"""How the learning rates change during a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulePlan:
    """How the rates change during a run."""

    name: Literal["constant", "cosine"] = "cosine"
    """constant, or half a cosine wave from the full rate to 0."""
    warmup_steps: int = 0
    """Steps over which the rates climb from 0 to full."""

    def __post_init__(self) -> None:
        require(self.warmup_steps >= 0, "warm-up steps", self.warmup_steps, "0 or more", "0 is fine")
