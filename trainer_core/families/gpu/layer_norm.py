"""A sum and its layer norm in one pass by Triton: what a transformer block does before each of its layers."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from .launching import launch, next_power_of_2

# Shape suffixes: B batch, L tokens, C channels.


def layer_norm(x_BLC: Tensor, layer: nn.LayerNorm) -> Tensor:
    """A frozen layer norm of x."""
    return _Normalised.apply(x_BLC, None, layer.weight, layer.bias, layer.eps)[1]


def add_and_normalise(x_BLC: Tensor, y_BLC: Tensor, layer: nn.LayerNorm) -> tuple[Tensor, Tensor]:
    """x + y, and a frozen layer norm of it."""
    return _Normalised.apply(x_BLC, y_BLC, layer.weight, layer.bias, layer.eps)


class _Normalised(torch.autograd.Function):
    """The gradient that passes by the norm is added in its own pass."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, y: Tensor | None, weight: Tensor, bias: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        x, has_y = x.contiguous(), y is not None
        y = y.contiguous() if has_y else x
        total = torch.empty_like(x) if has_y else x
        answer, (*outer, width) = torch.empty_like(x), x.shape
        mean, rate = (x.new_empty(outer, dtype=torch.float32) for _ in range(2))
        sizes = {"HAS_Y": has_y, "COLUMNS": next_power_of_2(width)}
        launch(
            _add_and_normalise, (mean.numel(),), answer, total, mean, rate, x, y, weight, bias, width, epsilon, **sizes
        )
        ctx.save_for_backward(total, mean, rate, weight)
        ctx.has_y = has_y
        ctx.set_materialize_grads(False)
        return total, answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, beside: Tensor | None, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        total, mean, *_ = saved = ctx.saved_tensors
        found = beside
        if gradient is not None:
            found, width = torch.empty_like(total), total.shape[-1]
            sizes = {"HAS_BESIDE": beside is not None, "COLUMNS": next_power_of_2(width)}
            beside = total if beside is None else beside.contiguous()
            launch(_gradient_of_sum, (mean.numel(),), found, gradient.contiguous(), beside, *saved, width, **sizes)
        return found, found if ctx.has_y else None, None, None, None


@triton.jit
def _add_and_normalise(answer, total, mean_of, rate_of, x, y, weight, bias, width, epsilon, HAS_Y: tl.constexpr,
                       COLUMNS: tl.constexpr):  # fmt: skip
    """One row a program."""
    row, column = tl.program_id(0), tl.arange(0, COLUMNS)
    is_in = column < width
    place = row.to(tl.int64) * width + column
    value = tl.load(x + place, mask=is_in, other=0.0).to(tl.float32)
    if HAS_Y:
        value += tl.load(y + place, mask=is_in, other=0.0).to(tl.float32)
        rounded = value.to(total.dtype.element_ty)
        tl.store(total + place, rounded, mask=is_in)
        value = rounded.to(tl.float32)  # as all others see it
    mean = tl.sum(value) / width
    apart = tl.where(is_in, value - mean, 0.0)
    rate = 1 / tl.sqrt(tl.sum(apart * apart) / width + epsilon)
    w = tl.load(weight + column, mask=is_in, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=is_in, other=0.0).to(tl.float32)
    tl.store(answer + place, (apart * rate * w + b).to(answer.dtype.element_ty), mask=is_in)
    tl.store(mean_of + row, mean)
    tl.store(rate_of + row, rate)


@triton.jit
def _gradient_of_sum(answer, gradient, beside, total, mean_of, rate_of, weight, width, HAS_BESIDE: tl.constexpr,
                     COLUMNS: tl.constexpr):  # fmt: skip
    """One row a program."""
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
        found += tl.load(beside + place, mask=is_in, other=0.0).to(tl.float32)
    tl.store(answer + place, found.to(answer.dtype.element_ty), mask=is_in)
