"""A sum and its layer norm in one pass by Triton: what a transformer block does before each of its layers."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ..room import empty_rows, with_even_rows
from .launching import launch, next_power_of_2

# Shape suffixes: B batch, L tokens, C channels.


def add_and_normalise(
    x_BLC: Tensor,
    y_BLC: Tensor | None,
    layer: nn.LayerNorm,
    bias_C: Tensor | None = None,
    *,
    room: int = 0,
    gradient_room: int = 0,
) -> tuple[Tensor, Tensor]:
    """x + y, and a frozen layer norm of it; without y, x and a norm of it.

    Args:
        bias_C: Is added to y before.
        room: Behind the rows of the norm (room.py).
        gradient_room: Behind those of the gradient for x and y.
    """
    return _Normalised.apply(x_BLC, y_BLC, bias_C, layer.weight, layer.bias, layer.eps, room, gradient_room)


class _Normalised(torch.autograd.Function):
    """The gradient that passes by the norm is added in its own pass."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        y: Tensor | None,
        bias_of_y: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        epsilon: float,
        room: int,
        gradient_room: int,
    ) -> tuple[Tensor, Tensor]:
        x, has_y, (*outer, width) = x.contiguous(), y is not None, x.shape
        y = y.contiguous() if has_y else x
        total = torch.empty_like(x) if has_y else x
        answer = empty_rows(x, width, room)
        mean, rate = (x.new_empty(outer, dtype=torch.float32) for _ in range(2))
        has_bias = bias_of_y is not None
        given = x, y, bias_of_y if has_bias else bias, weight, bias, width, width + room, epsilon
        sizes = {"HAS_Y": has_y, "HAS_BIAS": has_bias, "COLUMNS": next_power_of_2(width)}
        launch(_add_and_normalise, (mean.numel(),), answer, total, mean, rate, *given, **sizes)
        ctx.save_for_backward(total, mean, rate, weight)
        ctx.has_y, ctx.room = has_y, gradient_room
        ctx.set_materialize_grads(False)
        return total, answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, beside: Tensor | None, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        total, mean, *_ = saved = ctx.saved_tensors
        found = beside
        if gradient is not None:
            width = total.shape[-1]
            found = empty_rows(total, width, ctx.room)
            sizes = {"HAS_BESIDE": beside is not None, "COLUMNS": next_power_of_2(width)}
            beside, stride = (total, width) if beside is None else with_even_rows(beside)
            given = gradient.contiguous(), beside, *saved, width, width + ctx.room, stride
            launch(_gradient_of_sum, (mean.numel(),), found, *given, **sizes)
        return found, found if ctx.has_y else None, *(None,) * 6


@triton.jit
def _add_and_normalise(answer, total, mean_of, rate_of, x, y, bias_of_y, weight, bias, width, stride, epsilon,
                       HAS_Y: tl.constexpr, HAS_BIAS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """One row a program. `stride`: from a row of the answer to the next."""
    row, column = tl.program_id(0), tl.arange(0, COLUMNS)
    is_in = column < width
    place = row.to(tl.int64) * width + column
    value = tl.load(x + place, mask=is_in, other=0.0).to(tl.float32)
    if HAS_Y:
        value += tl.load(y + place, mask=is_in, other=0.0).to(tl.float32)
        if HAS_BIAS:
            value += tl.load(bias_of_y + column, mask=is_in, other=0.0).to(tl.float32)
        rounded = value.to(total.dtype.element_ty)
        tl.store(total + place, rounded, mask=is_in)
        value = rounded.to(tl.float32)  # as all others see it
    mean = tl.sum(value) / width
    apart = tl.where(is_in, value - mean, 0.0)
    rate = 1 / tl.sqrt(tl.sum(apart * apart) / width + epsilon)
    w = tl.load(weight + column, mask=is_in, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=is_in, other=0.0).to(tl.float32)
    normal = (apart * rate * w + b).to(answer.dtype.element_ty)
    tl.store(answer + row.to(tl.int64) * stride + column, normal, mask=is_in)
    tl.store(mean_of + row, mean)
    tl.store(rate_of + row, rate)


@triton.jit
def _gradient_of_sum(answer, gradient, beside, total, mean_of, rate_of, weight, width, stride, stride_beside,
                     HAS_BESIDE: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """One row a program. Strides: from a row of the answer, and of what passes by, to the next."""
    row, column = tl.program_id(0), tl.arange(0, COLUMNS)
    is_in = column < width
    place = row.to(tl.int64) * width + column
    rate = tl.load(rate_of + row)
    value = tl.load(total + place, mask=is_in, other=0.0).to(tl.float32)
    normal = tl.where(is_in, (value - tl.load(mean_of + row)) * rate, 0.0)
    g = tl.load(gradient + place, mask=is_in, other=0.0).to(tl.float32)
    g = g * tl.load(weight + column, mask=is_in, other=0.0).to(tl.float32)
    found = (g - tl.sum(g) / width - normal * (tl.sum(g * normal) / width)) * rate
    if HAS_BESIDE:
        found += tl.load(beside + row.to(tl.int64) * stride_beside + column, mask=is_in, other=0.0).to(tl.float32)
    tl.store(answer + row.to(tl.int64) * stride + column, found.to(answer.dtype.element_ty), mask=is_in)
