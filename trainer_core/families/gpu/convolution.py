"""Frozen convolutions that keep nothing of their input, and may leave their bias to whoever reads the answer next; and
sums that add it.

PyTorch adds a bias in a pass of its own, and keeps the input for a gradient that nobody asks for.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from ..input_gradient import gradient_of_input
from .launching import blocks_of, launch

# Shape suffixes: B batch, C channels, H and W height and width, L tokens.

_PLACES = 1024
"""Values that a program takes."""


def convolved(x_BCHW: Tensor, layer: nn.Conv2d) -> Tensor:
    """What the layer gives."""
    return _Convolution.apply(x_BCHW, layer.weight, layer.bias, layer.stride, layer.padding)


def unbiased(x_BCHW: Tensor, layer: nn.Conv2d) -> Tensor:
    """The same without its bias."""
    return _Convolution.apply(x_BCHW, layer.weight, None, layer.stride, layer.padding)


def add(x: Tensor, y: Tensor, bias_C: Tensor) -> Tensor:
    """x + y + bias, in one pass, of pictures (B, C, H, W) or tokens (B, L, C)."""
    return _Add.apply(x, y, bias_C)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x_BCHW: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride, ctx.padding = x_BCHW.shape, stride, padding
        return functional.conv2d(x_BCHW, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return gradient_of_input(gradient, weight, ctx.shape, ctx.stride, ctx.padding), None, None, None, None


class _Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, y: Tensor, bias_C: Tensor) -> Tensor:
        order = torch.channels_last if x.dim() == 4 else torch.contiguous_format  # channels beside each other
        x, y = (value.contiguous(memory_format=order) for value in (x, y))
        answer, count = torch.empty_like(x), x.numel()
        launch(_add, (blocks_of(count, _PLACES),), answer, x, y, bias_C, count, len(bias_C), PLACES=_PLACES)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return gradient, gradient, None


@triton.jit
def _add(answer, x, y, bias, count, channels, PLACES: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    a = tl.load(x + place, mask=place < count, other=0.0).to(tl.float32)
    b = tl.load(y + place, mask=place < count, other=0.0).to(tl.float32)
    c = tl.load(bias + place % channels, mask=place < count, other=0.0).to(tl.float32)
    tl.store(answer + place, (a + b + c).to(answer.dtype.element_ty), mask=place < count)
