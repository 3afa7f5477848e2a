"""GEGLU (Shazeer, arXiv:2002.05202) by Triton: each way one pass, and nothing kept but the input.

PyTorch takes three passes forwards and four backwards, and keeps a third tensor.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from ..room import empty_rows
from .launching import blocks_of, launch

_COLUMNS = 1024
"""Of a row, that a program takes."""


def gate(x: Tensor, bias: Tensor | None = None, *, room: int = 0, gradient_room: int = 0) -> Tensor:
    """The first half of the last dimension times the GELU of the second.

    Args:
        bias: Is added to x before.
        room: Behind the rows of the answer (room.py).
        gradient_room: Behind those of the gradient for x.
    """
    return _Gate.apply(x, bias, room, gradient_room)


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, bias: Tensor | None, room: int, gradient_room: int) -> Tensor:
        x, width = x.contiguous(), x.shape[-1] // 2
        ctx.save_for_backward(x, bias)
        ctx.room = gradient_room
        answer = empty_rows(x, width, room)
        given = x, x if bias is None else bias, width, width + room
        launch(_gate, _grid(answer), answer, *given, HAS_BIAS=bias is not None, COLUMNS=_COLUMNS)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        x, bias = ctx.saved_tensors
        both, width = x.shape[-1], gradient.shape[-1]
        answer, gradient = empty_rows(x, both, ctx.room), gradient.contiguous()
        given = gradient, x, x if bias is None else bias, width, both + ctx.room
        launch(_gradient_of_gate, _grid(gradient), answer, *given, HAS_BIAS=bias is not None, COLUMNS=_COLUMNS)
        return answer, None, None, None


def _grid(answer: Tensor) -> tuple[int, int]:
    width = answer.shape[-1]
    return answer.numel() // width, blocks_of(width, _COLUMNS)


@triton.jit
def _gate(answer, x, bias, width, stride, HAS_BIAS: tl.constexpr, COLUMNS: tl.constexpr):
    """`stride`: from a row of the answer to the next."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_in = column < width
    value, opened = _halves(x, bias, row, column, width, HAS_BIAS)
    y = value * opened * _below(opened, tl.exp(-0.5 * opened * opened))
    tl.store(answer + row * stride + column, y.to(answer.dtype.element_ty), mask=is_in)


@triton.jit
def _gradient_of_gate(answer, gradient, x, bias, width, stride, HAS_BIAS: tl.constexpr, COLUMNS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_in = column < width
    value, opened = _halves(x, bias, row, column, width, HAS_BIAS)
    g = tl.load(gradient + row * width + column, mask=is_in, other=0.0).to(tl.float32)
    bell = tl.exp(-0.5 * opened * opened)
    below = _below(opened, bell)
    of_value, of_gate = g * opened * below, g * value * (below + opened * (0.3989422804014327 * bell))
    tl.store(answer + row * stride + column, of_value.to(answer.dtype.element_ty), mask=is_in)
    tl.store(answer + row * stride + width + column, of_gate.to(answer.dtype.element_ty), mask=is_in)


@triton.jit
def _below(x, bell):
    """The share of a normal distribution below x, to 3e-7, from exp(-x^2 / 2), which the gradient needs as well.

    erf by Abramowitz and Stegun (7.1.26), and a division without its care for the smallest numbers: a third of the
    instructions of GELU's gradient less than with the library's, and the memory is what is waited for.
    """
    t = 1 + 0.2316418882663604 * tl.abs(x)
    t = tl.rsqrt(t * t)
    tail = 0.5307027145 * t - 0.7265760135
    tail = ((tail * t + 0.7107068705) * t - 0.142248368) * t + 0.127414796
    tail = tail * t * bell
    return tl.where(x < 0, tail, 1 - tail)


@triton.jit
def _halves(x, bias, row, column, width, HAS_BIAS: tl.constexpr):
    """What is let through, and what decides how much of it."""
    is_in = column < width
    value = tl.load(x + row * 2 * width + column, mask=is_in, other=0.0).to(tl.float32)
    opened = tl.load(x + row * 2 * width + width + column, mask=is_in, other=0.0).to(tl.float32)
    if HAS_BIAS:
        value += tl.load(bias + column, mask=is_in, other=0.0).to(tl.float32)
        opened += tl.load(bias + width + column, mask=is_in, other=0.0).to(tl.float32)
    return value, opened
