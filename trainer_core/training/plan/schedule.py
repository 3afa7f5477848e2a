"""How the learning rates change during a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulePlan:
    """How the rates change during a run. Every curve starts at the full rate, once the warm-up is over."""

    name: Literal["constant", "linear", "cosine", "cosine_with_restarts", "polynomial", "rex", "wsd"] = "cosine"
    """constant; linear: straight down; cosine: half a cosine wave down, the usual choice; cosine_with_restarts:
    several such waves, each from the full rate; polynomial: what is left of the run to a power; rex: slow at first,
    steep at the end (arXiv:2107.04197); wsd: constant until a decay near the end (arXiv:2405.18392)."""
    warmup_steps: int = 0
    """Steps over which the rates climb to full: 0, or about a twentieth of the run to calm the start of high rates."""
    cycles: int = 3
    """Waves of cosine_with_restarts, from 1; 3 to 5 are usual."""
    power: float = 1.0
    """Exponent of polynomial, above 0. 1 is linear; 2 falls early, 0.5 late."""
    floor: float = 0.0
    """Lowest share of the full rate that a falling schedule ends at, 0 to 1. 0.1 keeps the last steps useful."""
    decay_share: float = 0.2
    """Share of the run that wsd spends on its decay, above 0 up to 1."""

    def __post_init__(self) -> None:
        require(self.warmup_steps >= 0, "warm-up steps", self.warmup_steps, "0 or more", "0 is fine")
        require(1 <= self.cycles <= 1000, "cycles", self.cycles, "between 1 and 1000", "3 to 5 are usual")
        require(0 < self.power <= 100, "power", self.power, "above 0 and at most 100", "1 is linear")
        require(0 <= self.floor <= 1, "floor", self.floor, "between 0 and 1", "0 is usual, 0.1 common")
        require(0 < self.decay_share <= 1, "decay share", self.decay_share, "above 0 and at most 1", "0.2 is usual")
