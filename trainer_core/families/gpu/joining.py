"""Pictures joined by their channels, in channels last, and what comes back for each (Triton).

PyTorch takes more than twice as long to join them as an H200 takes to read and write them, and gives each a part of one
gradient: whoever reads those copies them first, or adds them up slowly.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .launching import blocks_of, empty_picture, launch

# Shape suffixes: B batch, C and D channels, H and W height and width.

_ROWS, _COLUMNS = 64, 64
"""Places and channels of a tile, which a program takes."""


def joined(x_BCHW: Tensor, y_BDHW: Tensor) -> Tensor:
    """(B, C + D, H, W)"""
    return _Joined.apply(x_BCHW, y_BDHW)


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x_BCHW: Tensor, y_BDHW: Tensor) -> Tensor:
        x_BCHW, y_BDHW = (one.contiguous(memory_format=torch.channels_last) for one in (x_BCHW, y_BDHW))
        ctx.widths = x_BCHW.shape[1], y_BDHW.shape[1]
        answer = empty_picture(x_BCHW, sum(ctx.widths), *x_BCHW.shape[2:])
        _launch(_join, answer, x_BCHW, y_BDHW)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_x, of_y = (empty_picture(gradient, width, *gradient.shape[2:]) for width in ctx.widths)
        _launch(_separate, gradient, of_x, of_y)
        return of_x, of_y


def _launch(kernel: triton.JITFunction, both: Tensor, x: Tensor, y: Tensor) -> None:
    width, other = x.shape[1], y.shape[1]
    places = x.numel() // width
    grid = blocks_of(places, _ROWS), blocks_of(width + other, _COLUMNS)
    launch(kernel, grid, both, x, y, places, width, other, ROWS=_ROWS, COLUMNS=_COLUMNS)


@triton.jit
def _join(both, x, y, places, width, other, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row, column, is_of_x, is_of_y = _tile(places, width, other, ROWS, COLUMNS)
    a = tl.load(x + row * width + column, mask=is_of_x, other=0.0)
    b = tl.load(y + row * other + column - width, mask=is_of_y, other=0.0)
    tl.store(both + row * (width + other) + column, tl.where(is_of_x, a, b), mask=is_of_x | is_of_y)


@triton.jit
def _separate(both, x, y, places, width, other, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    row, column, is_of_x, is_of_y = _tile(places, width, other, ROWS, COLUMNS)
    value = tl.load(both + row * (width + other) + column, mask=is_of_x | is_of_y, other=0.0)
    tl.store(x + row * width + column, value, mask=is_of_x)
    tl.store(y + row * other + column - width, value, mask=is_of_y)


@triton.jit
def _tile(places, width, other, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Places and channels of this program's tile, and which of its values are of either."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    is_in = row < places
    return row, column, is_in & (column < width), is_in & (column >= width) & (column < width + other)
