"""Pictures of twice the height and width, each value four times, in channels last (Triton).

PyTorch takes nine times as long as an H200 takes to read and write them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .launching import blocks_of, empty_picture, launch

# Shape suffixes: B batch, C channels, H and W height and width.

_PLACES = 1024
"""Values of the smaller picture that a program takes."""


def doubled(x_BCHW: Tensor) -> Tensor:
    """(B, C, 2H, 2W)"""
    return _Doubled.apply(x_BCHW)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x_BCHW: Tensor) -> Tensor:
        _, channels, height, width = ctx.shape = x_BCHW.shape
        answer = empty_picture(x_BCHW, channels, 2 * height, 2 * width)
        _launch(_double, answer, x_BCHW, x_BCHW.shape)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient_BCHW: Tensor) -> Tensor:
        answer = empty_picture(gradient_BCHW, *ctx.shape[1:])
        _launch(_add_up, answer, gradient_BCHW, ctx.shape)
        return answer


def _launch(kernel: triton.JITFunction, answer: Tensor, given: Tensor, smaller: torch.Size) -> None:
    count, (_, channels, _, width) = smaller.numel(), smaller
    given = given.contiguous(memory_format=torch.channels_last)
    launch(kernel, (blocks_of(count, _PLACES),), answer, given, count, channels, width, PLACES=_PLACES)


@triton.jit
def _double(answer, x, count, channels, width, PLACES: tl.constexpr):
    place, first = _places(channels, width, PLACES)
    value = tl.load(x + place, mask=place < count, other=0.0)
    for row in tl.static_range(2):
        for column in tl.static_range(2):
            tl.store(answer + first + (row * 2 * width + column) * channels, value, mask=place < count)


@triton.jit
def _add_up(answer, gradient, count, channels, width, PLACES: tl.constexpr):
    place, first = _places(channels, width, PLACES)
    total = tl.zeros([PLACES], tl.float32)
    for row in tl.static_range(2):
        for column in tl.static_range(2):
            beside = (row * 2 * width + column) * channels
            total += tl.load(gradient + first + beside, mask=place < count, other=0.0).to(tl.float32)
    tl.store(answer + place, total.to(answer.dtype.element_ty), mask=place < count)


@triton.jit
def _places(channels, width, PLACES: tl.constexpr):
    """Of values in the smaller picture, and of the first of their four in the larger one."""
    place = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    pixel, channel = place // channels, place % channels
    row, column = pixel // width, pixel % width
    return place, (4 * row * width + 2 * column) * channels + channel
