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
_LEAST = 16
"""Values that tensor cores multiply at a time."""


def padded(size: int) -> int:
    """Of a side of a tile that tensor cores multiply, which are powers of 2."""
    return next_power_of_2(max(size, _LEAST))


def empty_picture(like: Tensor, channels: int, height: int, width: int) -> Tensor:
    """As many pictures as `like`, of its format, in channels last, not filled."""
    return like.new_empty(len(like), height, width, channels).permute(0, 3, 1, 2)


def launch(
    kernel: triton.JITFunction,
    grid: tuple[int, ...],
    answer: Tensor | tuple[Tensor, ...],
    *arguments: Any,
    **sizes: int,
) -> None:
    """Have `kernel` fill `answer`, or several, on their device. Of tensors without storage, as memory is counted with,
    nothing is computed."""
    first = answer if isinstance(answer, Tensor) else answer[0]
    if isinstance(first, FakeTensor):
        return
    with torch.cuda.device(first.device) if is_gpu(first.device) else nullcontext():  # Triton takes the current one
        kernel[grid](answer, *arguments, **sizes)


def is_on_hopper(tensor: Tensor) -> bool:
    """Whether it is on a GPU such as an H100, which multiplies what lies in its fast memory without registers."""
    return is_gpu(tensor.device) and torch.cuda.get_device_capability(tensor.device)[0] == 9
