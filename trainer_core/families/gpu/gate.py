"""GEGLU (Shazeer, arXiv:2002.05202) by Triton: each way one pass, and nothing kept but the input.

PyTorch takes three passes forwards and four backwards, and keeps a third tensor.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .launching import blocks_of, launch

_COLUMNS = 1024
"""Of a row, that a program takes."""


def gate(x: Tensor) -> Tensor:
    """The first half of the last dimension times the GELU of the second."""
    return _Gate.apply(x)


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        *outer, both = x.shape
        answer = x.new_empty(*outer, both // 2)
        launch(_gate, _grid(answer), answer, x, both // 2, COLUMNS=_COLUMNS)
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        answer = torch.empty_like(x)
        launch(
            _gradient_of_gate, _grid(gradient), answer, gradient.contiguous(), x, gradient.shape[-1], COLUMNS=_COLUMNS
        )
        return answer


def _grid(answer: Tensor) -> tuple[int, int]:
    width = answer.shape[-1]
    return answer.numel() // width, blocks_of(width, _COLUMNS)


@triton.jit
def _gate(answer, x, width, COLUMNS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    value = tl.load(x + row * 2 * width + column, mask=column < width, other=0.0).to(tl.float32)
    opened = tl.load(x + row * 2 * width + width + column, mask=column < width, other=0.0).to(tl.float32)
    y = value * opened * 0.5 * (1 + tl.erf(opened * 0.7071067811865476))
    tl.store(answer + row * width + column, y.to(answer.dtype.element_ty), mask=column < width)


@triton.jit
def _gradient_of_gate(answer, gradient, x, width, COLUMNS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_in = column < width
    value = tl.load(x + row * 2 * width + column, mask=is_in, other=0.0).to(tl.float32)
    opened = tl.load(x + row * 2 * width + width + column, mask=is_in, other=0.0).to(tl.float32)
    g = tl.load(gradient + row * width + column, mask=is_in, other=0.0).to(tl.float32)
    below = 0.5 * (1 + tl.erf(opened * 0.7071067811865476))
    density = 0.3989422804014327 * tl.exp(-0.5 * opened * opened)
    of_value, of_gate = g * opened * below, g * value * (below + opened * density)
    tl.store(answer + row * 2 * width + column, of_value.to(answer.dtype.element_ty), mask=is_in)
    tl.store(answer + row * 2 * width + width + column, of_gate.to(answer.dtype.element_ty), mask=is_in)
