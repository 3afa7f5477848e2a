"""What goes wrong in a step: losses that are no numbers, and memory that runs out."""

from __future__ import annotations

import math

import torch

from ..errors import TrainingError

_NOT_FINITE_IN_A_ROW = 3
_NOT_FINITE_SHARE, _FEWEST_STEPS = 0.05, 40
"""More than this share of the steps, once there are this many, is a run that goes nowhere."""


class FiniteWatch:
    """Stops a run whose losses are not finite again and again: no such loss has changed a weight, but none has
    taught it anything either."""

    def __init__(self) -> None:
        self._in_a_row = self._in_all = self._steps = 0

    def check(self, step: int, loss: float) -> None:
        is_finite = math.isfinite(loss)
        self._steps += 1
        self._in_all += not is_finite
        self._in_a_row = 0 if is_finite else self._in_a_row + 1
        is_often = self._steps >= _FEWEST_STEPS and self._in_all > _NOT_FINITE_SHARE * self._steps
        if self._in_a_row == _NOT_FINITE_IN_A_ROW or (is_often and not is_finite):
            raise TrainingError(
                f"the loss was not a finite number {self._in_all} times in {self._steps} steps, the last time at step "
                f"{step}. Lower the learning rate, train in bf16 or fp32 instead of fp16, and check that the base "
                "model draws pictures."
            )


def is_out_of_memory(problem: Exception) -> bool:
    """Whether an error says that a device or the computer has no memory left."""
    return isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(problem)
