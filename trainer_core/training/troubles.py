"""What goes wrong in a step: losses that are no numbers, and memory that runs out."""

from __future__ import annotations

import math
import traceback

import torch

from ..errors import TrainingError

_NOT_FINITE_IN_A_ROW = 3
_LEFT_OUT_IN_A_ROW = 40
"""Steps whose gradients are not finite. In fp16 the first 20 may be, until the scale of the loss has come down."""
_NOT_FINITE_SHARE, _FEWEST_STEPS = 0.05, 40
"""More than this share of the steps, once there are this many, is a run that goes nowhere."""


class FiniteWatch:
    """Stops a run whose losses or gradients are not finite again and again: no such step has changed a weight, but none
    has taught it anything either."""

    def __init__(self) -> None:
        self._in_a_row = self._in_all = self._steps = self._left_out = 0

    def check(self, step: int, loss: float, *, was_taken: bool) -> None:
        """`was_taken`: loss and gradients were finite.

        Raises:
            TrainingError: it is time to stop.
        """
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
        self._left_out = 0 if was_taken else self._left_out + 1
        if self._left_out == _LEFT_OUT_IN_A_ROW:
            raise TrainingError(
                f"the gradients were not finite numbers in the last {self._left_out} steps, up to step {step}, so that "
                "nothing was learned. Train in bf16 or fp32 instead of fp16, and check that the base model draws "
                "pictures."
            )


def is_out_of_memory(problem: Exception) -> bool:
    """Whether an error says that a device or the computer has no memory left."""
    return isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(problem)


def give_memory_back(problem: RuntimeError) -> None:
    """Where an error says that memory ran out, let go of what filled it; any other error is raised again."""
    if not is_out_of_memory(problem):
        raise problem
    traceback.clear_frames(problem.__traceback__)  # they hold it
    torch.cuda.empty_cache()
