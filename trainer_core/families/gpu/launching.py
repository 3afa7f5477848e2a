"""How Triton's kernels are started. They need triton, which comes with PyTorch for Linux."""

from __future__ import annotations

from typing import Any

import triton
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

blocks_of = triton.cdiv
next_power_of_2 = triton.next_power_of_2


def launch(kernel: triton.JITFunction, grid: tuple[int, ...], answer: Tensor, *arguments: Any, **sizes: int) -> None:
    """Have `kernel` fill `answer`. Of tensors without storage, as memory is counted with, nothing is computed."""
    if not isinstance(answer, FakeTensor):
        kernel[grid](answer, *arguments, **sizes)
