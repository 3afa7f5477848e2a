"""The gradient of a frozen convolution's input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Shape suffixes: B batch, C and O channels in and out, H and W height and width.


def gradient_of_input(
    grad_BOHW: Tensor, weight: Tensor, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """Of a convolution with a frozen weight, which needs no input for it, only its shape (B C H W)."""
    place = {"dtype": grad_BOHW.dtype, "device": grad_BOHW.device}
    never_read = torch.empty(shape, memory_format=torch.channels_last, **place)
    gradients = torch.ops.aten.convolution_backward(
        grad_BOHW, never_read, weight, None, stride, padding, [1, 1], False, [0, 0], 1, [True, False, False]
    )
    return gradients[0]
