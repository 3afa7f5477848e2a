"""LoRA on linear layers: what it adds is added by the multiplication itself, forwards and backwards, and layers with
the same input share what they read of it.

Left to autograd, a layer's answer, its LoRA's and all gradients for the input are tensors of their own, which are then
added: passes over the memory that take longer than a small rank's arithmetic. Here the LoRA's narrow product is written
first, and the layer's wide one, which has arithmetic to hide behind, adds itself to it. In half precision this also
rounds a layer's answer once instead of twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from ..families.beside import beside
from ..families.cpu.matrices import add_product, gradient_of_weight, product, product_into
from ..families.room import take_room

if TYPE_CHECKING:
    from .border import Border

# Shape suffixes: T tokens of all pictures, I and O width in and out, R rank, of all layers together, W a row with room.


class Sum(NamedTuple):
    """Where a weight's gradient is added, times a factor, instead of coming back by autograd."""

    place: Tensor
    factor: float


class Factors(NamedTuple):
    """Of a LoRA, in the format that is computed in."""

    down: Tensor
    up: Tensor
    scale: float
    sums: tuple[Sum | None, Sum | None] = (None, None)
    """Those of down and up, if they may be used."""


def lora_linears(
    x: Tensor,
    bases: Sequence[nn.Linear],
    factors: Sequence[Factors],
    border: Border | None = None,
    *,
    biased: bool = True,
) -> tuple[Tensor, ...]:
    """The answers of frozen linear layers with LoRAs.

    Args:
        factors: Each one's, in the format of x and of the layers.
        border: Theirs, if they have one, which holds these factors.
        biased: Whether their biases are added.
    """
    downs, ups, scales, sums = zip(*factors, strict=True)
    weights, biases = [base.weight for base in bases], [base.bias if biased else None for base in bases]
    if border and border.bases != tuple(bases):
        border = None
    rows_TW = take_room(x, border.room) if border else None
    return _LoraLinears.apply(x, rows_TW, border, scales, sums, *weights, *biases, *downs, *ups)


class _LoraLinears(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        rows_TW: Tensor | None,
        border: Border | None,
        scales: Sequence[float],
        sums: Sequence[tuple[Sum | None, Sum | None]],
        *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:
        count = len(scales)
        weights, biases, downs, ups = (tensors[start : start + count] for start in range(0, 4 * count, count))
        ctx.scales, ctx.shape, ctx.ranks = scales, x.shape, [len(down_RI) for down_RI in downs]
        ctx.border, ctx.sums = border, sums
        x_TI, widths = x.flatten(0, -2), [len(weight_OI) for weight_OI in weights]
        down_RI = border.downs_RI if border else downs[0] if count == 1 else torch.cat(downs)
        if rows_TW is None:
            inner_TR = product(x_TI, down_RI)
        else:
            inner_TR = rows_TW[:, x.shape[-1] :]
            product_into(inner_TR, x_TI, down_RI)
        if border and rows_TW is None and len(x_TI) <= sum(widths):
            rows_TW = torch.cat((x_TI, inner_TR), 1)  # less than what is else written of the answers
        inners = _scaled(inner_TR, ctx.ranks, scales)
        if rows_TW is not None:
            answers = functional.linear(rows_TW, border.forwards, biases[0]).split(widths, 1)
        else:
            answers = [
                add_product(product(inner, up_OR, bias_O), x_TI, weight_OI)
                for weight_OI, bias_O, up_OR, inner in zip(weights, biases, ups, inners, strict=True)
            ]
        ctx.save_for_backward(x_TI, inner_TR, down_RI, *weights, *ups)
        return tuple(answer_TO.view(*x.shape[:-1], -1) for answer_TO in answers)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_TI, inner_TR, down_RI, *rest = ctx.saved_tensors
        count = len(ctx.scales)
        weights, ups = rest[:count], rest[count:]
        rows_TW = take_room(gradients[0], ctx.border.room) if ctx.border and count == 1 else None
        gradients_TO = [gradient.reshape(len(x_TI), -1) for gradient in gradients]
        of_inner_TR = inner_TR.new_empty(inner_TR.shape) if rows_TW is None else rows_TW[:, -ctx.border.room :]
        of_x = None
        for gradient_TO, up_OR, of_inner in zip(gradients_TO, ups, of_inner_TR.split(ctx.ranks, 1), strict=True):
            product_into(of_inner, gradient_TO, up_OR.t())
        _scaled(of_inner_TR, ctx.ranks, ctx.scales)
        of_downs, of_ups = _gradients_of_factors(ctx, gradients_TO, inner_TR, x_TI, of_inner_TR)
        if ctx.needs_input_grad[0]:
            if rows_TW is None:
                of_x_TI = product(of_inner_TR, down_RI.t())
                for gradient_TO, weight_OI in zip(gradients_TO, weights, strict=True):
                    of_x_TI = add_product(of_x_TI, gradient_TO, weight_OI.t())
            else:
                of_x_TI = rows_TW @ ctx.border.backwards
            of_x = of_x_TI.view(ctx.shape)
        return of_x, None, None, None, None, *[None] * (2 * count), *of_downs, *of_ups


def _gradients_of_factors(
    ctx: FunctionCtx, gradients_TO: Sequence[Tensor], inner_TR: Tensor, x_TI: Tensor, of_inner_TR: Tensor
) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
    """Those of downs and of ups. halves.py, who alone reads them, waits for them; None are those that were added."""
    inners, of_inners = (one.split(ctx.ranks, 1) for one in (inner_TR, of_inner_TR))
    gathered = ctx.border.stack.gradients if ctx.border else None
    ups, downs = list(zip(gradients_TO, inners, strict=True)), [(x_TI, one) for one in of_inners]
    if gathered and all(gathered.fits(*pair) for pair in (*ups, *downs)):
        sums = list(zip(*ctx.sums, strict=True))
        return (
            [gathered.later(*pair, turned=True, added_to=one) for pair, one in zip(downs, sums[0], strict=True)],
            [gathered.later(*pair, added_to=one) for pair, one in zip(ups, sums[1], strict=True)],
        )
    with beside(x_TI, inner_TR, of_inner_TR, *gradients_TO):
        return gradient_of_weight(of_inner_TR, x_TI).split(ctx.ranks), [gradient_of_weight(*pair) for pair in ups]


def _scaled(inner_TR: Tensor, ranks: Sequence[int], scales: Sequence[float]) -> Sequence[Tensor]:
    """Each layer's part, scaled in place."""
    parts = inner_TR.split(ranks, 1)
    for part, scale in zip(parts, scales, strict=True):
        if scale != 1:
            part *= scale
    return parts
