"""The loss of a step that was asked for."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor


class StepLoss:
    """What a step's parts add to its loss, and the norm of its gradients; a device may still be computing them."""

    def __init__(self, losses: Tensor, norm: Tensor) -> None:
        numbers = torch.cat([losses, norm[None]])
        self.on_device = numbers
        """All of them, where they were computed."""
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
    def _read(self) -> list[float]:
        if self._copied:
            self._copied.synchronize()
        return self._numbers.tolist()
