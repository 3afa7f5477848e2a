"""A step that changes nothing where the loss or a gradient is not finite, without waiting for the GPU that knows."""

from __future__ import annotations

import torch
from torch import Tensor

from .step_loss import StepLoss


def skips_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer can leave out a step without anyone waiting for the numbers that say so: fused AdamW."""
    return isinstance(optimizer, torch.optim.AdamW) and all(group["fused"] for group in optimizer.param_groups)


def step_unless_bad(optimizer: torch.optim.Optimizer, loss: StepLoss) -> Tensor:
    """Take a step that changes nothing where a number of `loss` is not finite, as torch's gradient scaler asks for it.

    Returns whether it was taken (0-dim, bool), on the device.
    """
    is_taken = loss.on_device.isfinite().all()
    optimizer.found_inf = (~is_taken).float()
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf
    return is_taken
