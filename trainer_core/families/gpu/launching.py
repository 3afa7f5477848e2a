"""How Triton's kernels are started. They need triton, which comes with PyTorch for Linux."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import triton
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from ...devices import is_gpu

blocks_of = triton.cdiv
next_power_of_2 = triton.next_power_of_2


def launch(kernel: triton.JITFunction, grid: tuple[int, ...], answer: Tensor, *arguments: Any, **sizes: int) -> None:
    """Have `kernel` fill `answer`, on its device. Of tensors without storage, as memory is counted with, nothing is
    computed."""
    if isinstance(answer, FakeTensor):
        return
    with torch.cuda.device(answer.device) if is_gpu(answer.device) else nullcontext():  # Triton takes the current one
        kernel[grid](answer, *arguments, **sizes)
