"""The way of a tensor from the CPU to the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ..devices import is_gpu


def send(tensor: Tensor, device: torch.device | str) -> Tensor:
    """A tensor of the CPU on the device. A GPU is not waited for, which takes memory that is pinned."""
    if not is_gpu(device):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
