"""Dropout by a hash (lora/dropout.py), in one pass each way, by Triton; nothing is kept but the seed."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .launching import blocks_of, launch

# Shape suffixes: B pictures, R ranks.

_PLACES = 1024
"""Values that a program takes."""


def drop(x: Tensor, numbers: Tensor, key: tuple[int, int], least: int, scale: float, *, by_ranks: bool) -> Tensor:
    """x (B, ..., R) times `scale` where the hash is at least `least`, and 0 elsewhere.

    Args:
        numbers: Of the pictures, on x's device (`lora.dropout.seed_numbers`).
        key: Of the layer, two numbers of 31 bits.
        least: Of 31 bits.
        by_ranks: Whether a picture's values of a rank are dropped together.
    """
    return _Drop.apply(x, numbers, key, least, scale, by_ranks)


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, numbers: Tensor, key: tuple[int, int], least: int, scale: float, by_ranks: bool
    ) -> Tensor:
        ctx.save_for_backward(numbers)
        ctx.given = key, least, scale, by_ranks
        return _dropped(x, numbers, *ctx.given)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (numbers,) = ctx.saved_tensors
        return _dropped(gradient, numbers, *ctx.given), None, None, None, None, None


def _dropped(x: Tensor, numbers: Tensor, key: tuple[int, int], least: int, scale: float, by_ranks: bool) -> Tensor:
    x = x.contiguous()
    answer, count, ranks = torch.empty_like(x), x.numel(), x.shape[-1]
    sizes = {"BY_RANKS": by_ranks, "PLACES": _PLACES}
    given = x, numbers, *key, least, scale, count, count // len(x), ranks
    launch(_drop, (blocks_of(count, _PLACES),), answer, *given, **sizes)
    return answer


@triton.jit(do_not_specialize=["low_key", "high_key", "least", "count", "of_picture", "ranks"])
def _drop(answer, x, numbers, low_key, high_key, least, scale, count, of_picture, ranks, BY_RANKS: tl.constexpr,
          PLACES: tl.constexpr):  # fmt: skip
    place = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    low, high, first = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2)
    if BY_RANKS:
        drawn = (place // of_picture + first) * ranks + place % ranks
    else:
        drawn = place + first * of_picture
    one = _mixed(low.to(tl.uint32) ^ low_key.to(tl.uint32))
    other = _mixed(high.to(tl.uint32) ^ high_key.to(tl.uint32) ^ one)
    hashed = _mixed(_mixed(drawn.to(tl.uint32) ^ one) ^ other)
    value = tl.load(x + place, mask=place < count, other=0.0).to(tl.float32)
    kept = tl.where((hashed >> 1).to(tl.int32) >= least, value * scale, 0.0)
    tl.store(answer + place, kept.to(answer.dtype.element_ty), mask=place < count)


@triton.jit
def _mixed(x):
    """That of lora/dropout.py."""
    x = x ^ (x >> 16)
    x = x * 0x7FEB352D
    x = x ^ (x >> 15)
    x = x * 0x846CA68B
    return x ^ (x >> 16)
