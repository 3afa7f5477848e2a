"""Group norm of a shifted picture, and SiLU behind it, by Triton: what a residual block does before a convolution.

PyTorch computes it in five passes, in channels first, and keeps two pictures for the backward pass. Here the input is
read twice and one picture written, in channels last, and only the input is kept. Arithmetic is fp32 throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ..room import with_even_rows
from .launching import blocks_of, launch, next_power_of_2

# Shape suffixes: B batch, C channels, H and W height and width. A kernel sees a picture as (B, P, C): P places.

_ROWS, _COLUMNS = 64, 64
"""Places and channels of a tile, which a program takes."""
_TILES = 32
"""Tiles that are joined at a time."""


def group_norm(x_BCHW: Tensor, layer: nn.GroupNorm, shift_BC: Tensor | None = None, *, silu: bool) -> Tensor:
    """A frozen group norm of x + shift, and SiLU of it if it is to be."""
    return _apply(x_BCHW, layer, shift_BC, silu)[1]


def pass_and_normalise(x_BCHW: Tensor, layer: nn.GroupNorm, *, silu: bool) -> tuple[Tensor, Tensor]:
    """x, for whoever else reads it, and a norm of it: gradients of both are added up in one pass."""
    return _apply(x_BCHW, layer, None, silu)


def _apply(x_BCHW: Tensor, layer: nn.GroupNorm, shift_BC: Tensor | None, silu: bool) -> tuple[Tensor, Tensor]:
    return _GroupNorm.apply(x_BCHW, shift_BC, layer.weight, layer.bias, layer.num_groups, layer.eps, silu)


@dataclass(frozen=True)
class _Shape:
    """How a picture is divided."""

    batch: int
    channels: int
    places: int
    groups: int

    @classmethod
    def of(cls, x_BCHW: Tensor, groups: int) -> _Shape:
        batch, channels, height, width = x_BCHW.shape
        return cls(batch, channels, height * width, groups)

    @cached_property
    def tiles(self) -> int:
        return blocks_of(self.places, _ROWS)

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        return self.tiles, blocks_of(self.channels, _COLUMNS), self.batch

    @property
    def of_groups(self) -> tuple[int, int, int, int, int]:
        return self.places, self.channels, self.tiles, self.groups, self.channels // self.groups

    def sums(self, x: Tensor) -> list[Tensor]:
        """Room for two numbers of each channel and tile."""
        return [x.new_empty(self.batch, self.tiles, self.channels, dtype=torch.float32) for _ in range(2)]

    def joined(self, x: Tensor) -> list[Tensor]:
        """Room for two numbers of each group."""
        return [x.new_empty(self.batch, self.groups, dtype=torch.float32) for _ in range(2)]

    @property
    def joining(self) -> dict[str, int]:
        return {"TILES": _TILES, "WIDTH": next_power_of_2(self.channels // self.groups)}


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x_BCHW: Tensor,
        shift_BC: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        groups: int,
        epsilon: float,
        silu: bool,
    ) -> tuple[Tensor, Tensor]:
        x_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)
        shape, has_shift = _Shape.of(x_BCHW, groups), shift_BC is not None
        shift = shift_BC.contiguous() if has_shift else weight  # anything: it is not read
        (means, spreads), (mean, rate) = shape.sums(x_BCHW), shape.joined(x_BCHW)
        tile = {"HAS_SHIFT": has_shift, "ROWS": _ROWS, "COLUMNS": _COLUMNS}
        launch(_moments, shape.grid, means, spreads, x_BCHW, shift, *shape.of_groups[:3], **tile)
        launch(
            _join_moments, (groups, shape.batch), mean, rate, means, spreads, *shape.of_groups, epsilon,
            ROWS=_ROWS, **shape.joining,
        )  # fmt: skip
        answer = torch.empty_like(x_BCHW)
        launch(
            _normalise, shape.grid, answer, x_BCHW, shift, mean, rate, weight, bias, *shape.of_groups, SILU=silu, **tile
        )
        ctx.save_for_backward(x_BCHW, shift, mean, rate, weight, bias)
        ctx.has_shift, ctx.silu = has_shift, silu
        ctx.set_materialize_grads(False)
        return x_BCHW, answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, beside: Tensor | None, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        if gradient is None:
            return beside, *(None,) * 6
        x_BCHW, shift, mean, *_ = saved = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        shape = _Shape.of(x_BCHW, mean.shape[1])
        (plain, along), (plain_mean, along_mean) = shape.sums(x_BCHW), shape.joined(x_BCHW)
        tile = {"HAS_SHIFT": ctx.has_shift, "SILU": ctx.silu, "ROWS": _ROWS, "COLUMNS": _COLUMNS}
        launch(_gradient_sums, shape.grid, plain, along, gradient, *saved, *shape.of_groups, **tile)
        launch(
            _join_sums, (shape.groups, shape.batch), plain_mean, along_mean, plain, along, *shape.of_groups,
            **shape.joining,
        )  # fmt: skip
        answer, has_beside = torch.empty_like(x_BCHW), beside is not None
        beside, apart = with_even_rows(beside.permute(0, 2, 3, 1)) if has_beside else (gradient, 0)
        launch(
            _gradient_of_input, shape.grid, answer, gradient, beside, plain_mean, along_mean, *saved, *shape.of_groups,
            apart, HAS_BESIDE=has_beside, **tile,
        )  # fmt: skip
        needs_shift = ctx.has_shift and ctx.needs_input_grad[1]
        of_shift = answer.sum((2, 3), dtype=torch.float32).to(shift.dtype) if needs_shift else None
        return answer, of_shift, None, None, None, None, None


# ------------------------------------------------------------------------------------------------------- kernels


@triton.jit
def _moments(means, spreads, x, shift, places, channels, tiles, HAS_SHIFT: tl.constexpr, ROWS: tl.constexpr,
             COLUMNS: tl.constexpr):  # fmt: skip
    """Mean, and sum of squared distances from it, of a tile's places for each channel (B, tiles, C)."""
    tile, batch = tl.program_id(0), tl.program_id(2)
    column, is_column, place, is_in = _tile(places, channels, ROWS, COLUMNS)
    value = tl.load(x + place, mask=is_in, other=0.0).to(tl.float32)
    mean = tl.sum(value, 0) / tl.minimum(ROWS, places - tile * ROWS)
    apart = tl.where(is_in, value - mean[None, :], 0.0)
    if HAS_SHIFT:
        mean += tl.load(shift + batch * channels + column, mask=is_column, other=0.0).to(tl.float32)
    target = (batch * tiles + tile) * channels + column
    tl.store(means + target, mean, mask=is_column)
    tl.store(spreads + target, tl.sum(apart * apart, 0), mask=is_column)


@triton.jit
def _join_moments(mean_of, rate_of, means, spreads, places, channels, tiles, groups, per_group, epsilon,
                  ROWS: tl.constexpr, TILES: tl.constexpr, WIDTH: tl.constexpr):  # fmt: skip
    """Mean, and 1 / standard deviation, of a group from those of its channels' tiles (Chan et al., 1979)."""
    group, batch = tl.program_id(0), tl.program_id(1)
    sums = tl.zeros([TILES, WIDTH], tl.float32)
    for first in range(0, tiles, TILES):
        tile, source, is_in = _tiles_of_group(first, tiles, channels, per_group, TILES, WIDTH)
        count = tl.minimum(ROWS, places - tile * ROWS).to(tl.float32)
        sums += tl.load(means + source, mask=is_in, other=0.0) * count[:, None]
    total = places * per_group
    mean = tl.sum(sums) / total
    sums = tl.zeros([TILES, WIDTH], tl.float32)
    for first in range(0, tiles, TILES):
        tile, source, is_in = _tiles_of_group(first, tiles, channels, per_group, TILES, WIDTH)
        count = tl.minimum(ROWS, places - tile * ROWS).to(tl.float32)
        apart = tl.load(means + source, mask=is_in, other=0.0) - mean
        spread = tl.load(spreads + source, mask=is_in, other=0.0)
        sums += tl.where(is_in, spread + apart * apart * count[:, None], 0.0)
    tl.store(mean_of + batch * groups + group, mean)
    tl.store(rate_of + batch * groups + group, 1 / tl.sqrt(tl.sum(sums) / total + epsilon))


@triton.jit
def _normalise(answer, x, shift, mean_of, rate_of, weight, bias, places, channels, tiles, groups, per_group,
               SILU: tl.constexpr, HAS_SHIFT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    column, _, place, is_in = _tile(places, channels, ROWS, COLUMNS)
    normal, _ = _normal(x + place, shift, mean_of, rate_of, column, channels, groups, per_group, is_in, HAS_SHIFT)
    y = _weighed(normal, weight, bias, column, channels)
    if SILU:
        y = y * tl.sigmoid(y)
    tl.store(answer + place, y.to(answer.dtype.element_ty), mask=is_in)


@triton.jit
def _gradient_sums(plain, along, gradient, x, shift, mean_of, rate_of, weight, bias, places, channels, tiles, groups,
                   per_group, HAS_SHIFT: tl.constexpr, SILU: tl.constexpr, ROWS: tl.constexpr,
                   COLUMNS: tl.constexpr):  # fmt: skip
    """Sums of a tile's gradients for each channel, plainly and times what was normalised (B, tiles, C)."""
    tile, batch = tl.program_id(0), tl.program_id(2)
    column, is_column, place, is_in = _tile(places, channels, ROWS, COLUMNS)
    normal, _ = _normal(x + place, shift, mean_of, rate_of, column, channels, groups, per_group, is_in, HAS_SHIFT)
    g = _of_normal(gradient + place, normal, weight, bias, column, channels, is_in, SILU)
    target = (batch * tiles + tile) * channels + column
    tl.store(plain + target, tl.sum(g, 0), mask=is_column)
    tl.store(along + target, tl.sum(g * normal, 0), mask=is_column)


@triton.jit
def _join_sums(plain_of, along_of, plain, along, places, channels, tiles, groups, per_group, TILES: tl.constexpr,
               WIDTH: tl.constexpr):  # fmt: skip
    """Means over each group of what `_gradient_sums` found."""
    group, batch = tl.program_id(0), tl.program_id(1)
    plain_sum = tl.zeros([TILES, WIDTH], tl.float32)
    along_sum = tl.zeros([TILES, WIDTH], tl.float32)
    for first in range(0, tiles, TILES):
        _, source, is_in = _tiles_of_group(first, tiles, channels, per_group, TILES, WIDTH)
        plain_sum += tl.load(plain + source, mask=is_in, other=0.0)
        along_sum += tl.load(along + source, mask=is_in, other=0.0)
    total = places * per_group
    tl.store(plain_of + batch * groups + group, tl.sum(plain_sum) / total)
    tl.store(along_of + batch * groups + group, tl.sum(along_sum) / total)


@triton.jit
def _gradient_of_input(answer, gradient, beside, plain_of, along_of, x, shift, mean_of, rate_of, weight, bias, places,
                       channels, tiles, groups, per_group, apart, HAS_SHIFT: tl.constexpr, HAS_BESIDE: tl.constexpr,
                       SILU: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):  # fmt: skip
    """`apart`: from a place of what passes by to the next."""
    column, is_column, place, is_in = _tile(places, channels, ROWS, COLUMNS)
    normal, rate = _normal(x + place, shift, mean_of, rate_of, column, channels, groups, per_group, is_in, HAS_SHIFT)
    g = _of_normal(gradient + place, normal, weight, bias, column, channels, is_in, SILU)
    group = tl.program_id(2) * groups + column // per_group
    plain = tl.load(plain_of + group, mask=is_column, other=0.0)
    along = tl.load(along_of + group, mask=is_column, other=0.0)
    found = (g - plain[None, :] - normal * along[None, :]) * rate[None, :]
    if HAS_BESIDE:
        row = tl.program_id(2) * places + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        beside += row.to(tl.int64)[:, None] * apart + column[None, :]
        found += tl.load(beside, mask=is_in, other=0.0).to(tl.float32)
    tl.store(answer + place, found.to(answer.dtype.element_ty), mask=is_in)


@triton.jit
def _tile(places, channels, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The channels of this program's tile and whether they are there, where its values lie and whether they are."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < channels
    place = tl.program_id(2).to(tl.int64) * places * channels + row[:, None] * channels + column[None, :]
    return column, is_column, place, (row < places)[:, None] & is_column[None, :]


@triton.jit
def _tiles_of_group(first, tiles, channels, per_group, TILES: tl.constexpr, WIDTH: tl.constexpr):
    """Some tiles of this program's group, where their channels' numbers lie and whether they are there."""
    group, batch = tl.program_id(0), tl.program_id(1)
    tile, inner = first + tl.arange(0, TILES), tl.arange(0, WIDTH)
    source = (batch * tiles + tile[:, None]) * channels + group * per_group + inner[None, :]
    return tile, source, (tile < tiles)[:, None] & (inner < per_group)[None, :]


@triton.jit
def _normal(x, shift, mean_of, rate_of, column, channels, groups, per_group, is_in, HAS_SHIFT: tl.constexpr):
    """This program's tile with mean 0 and deviation 1 in each group, and what it was multiplied with."""
    batch, is_column = tl.program_id(2), column < channels
    group = batch * groups + column // per_group
    mean = tl.load(mean_of + group, mask=is_column, other=0.0)
    rate = tl.load(rate_of + group, mask=is_column, other=0.0)
    if HAS_SHIFT:
        mean -= tl.load(shift + batch * channels + column, mask=is_column, other=0.0).to(tl.float32)
    value = tl.load(x, mask=is_in, other=0.0).to(tl.float32)
    return (value - mean[None, :]) * rate[None, :], rate


@triton.jit
def _weighed(normal, weight, bias, column, channels):
    w = tl.load(weight + column, mask=column < channels, other=0.0).to(tl.float32)
    b = tl.load(bias + column, mask=column < channels, other=0.0).to(tl.float32)
    return normal * w[None, :] + b[None, :]


@triton.jit
def _of_normal(gradient, normal, weight, bias, column, channels, is_in, SILU: tl.constexpr):
    """The gradient of what was normalised."""
    g = tl.load(gradient, mask=is_in, other=0.0).to(tl.float32)
    if SILU:
        y = _weighed(normal, weight, bias, column, channels)
        s = tl.sigmoid(y)
        g = g * s * (1 + y * (1 - s))
    return g * tl.load(weight + column, mask=column < channels, other=0.0).to(tl.float32)[None, :]
