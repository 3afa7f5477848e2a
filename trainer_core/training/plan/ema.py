"""Whether the LoRA that is kept is an average over the steps."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class EmaPlan:
    """Whether the LoRA that is kept is a moving average (EMA) of the weights; the run itself goes on without it."""

    decay: float = 0.0
    """What the average keeps of itself at each step, 0 to below 1: it spans about the last 1 / (1 - decay) steps.
    0.99 to 0.999 suits runs of a few thousand steps, and evens out high rates and small batches. 0: off."""
    warm_up: bool = True
    """Begin with a small decay that rises to `decay`, so that a short run's average does not remember its untrained
    start."""

    def __post_init__(self) -> None:
        require(0 <= self.decay < 1, "EMA decay", self.decay, "at least 0 and below 1", "0.99 is usual, 0 is off")
