"""The loss of a step that was asked for, and a step that leaves the weights alone where its numbers are not finite."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor


class StepLoss:
    """What a step's parts add to its loss, and the norm of its gradients; a device may still be computing them."""

    def __init__(self, losses: Tensor, norm: Tensor) -> None:
        numbers = torch.cat([losses, norm[None]])
        self._on_device = numbers
        # now, since behind what comes next reading would wait for that too; only of CUDA it is known when it is done
        self._numbers = numbers.to("cpu", non_blocking=numbers.is_cuda)
        self._copied = torch.cuda.current_stream(numbers.device).record_event() if numbers.is_cuda else None

    @cached_property
    def value(self) -> float:
        """The loss of the step. Waits for the device."""
        return sum(self._read[:-1])

    @property
    def is_finite(self) -> bool:
        """Of the loss and of the gradients. Waits for the device."""
        return math.isfinite(self.value) and math.isfinite(self._read[-1])

    @cached_property
    def is_finite_on_device(self) -> Tensor:
        """The same as `is_finite` (0-dim, bool), without waiting."""
        return self._on_device.isfinite().all()

    @cached_property
    def _read(self) -> list[float]:
        if self._copied:
            self._copied.synchronize()
        return self._numbers.tolist()


def skips_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer can leave out a step without anyone waiting for the numbers that say so: fused AdamW."""
    return isinstance(optimizer, torch.optim.AdamW) and all(group["fused"] for group in optimizer.param_groups)


def step_unless_bad(optimizer: torch.optim.Optimizer, loss: StepLoss) -> None:
    """Take a step that changes nothing where the numbers are not finite, as torch's gradient scaler asks for it."""
    optimizer.found_inf = (~loss.is_finite_on_device).float()
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf
