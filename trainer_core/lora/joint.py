"""LoRA on linear layers: what it adds is added by the multiplication itself, forwards and backwards, and layers with
the same input share what they read of it.

Left to autograd, a layer's answer, its LoRA's and all gradients for the input are tensors of their own, which are then
added: passes over the memory that take longer than a small rank's arithmetic. Here the LoRA's narrow product is written
first, and the layer's wide one, which has arithmetic to hide behind, adds itself to it. In half precision this also
rounds a layer's answer once instead of twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ..families.cpu.matrices import add_product, gradient_of_weight, product, product_into

# Shape suffixes: T tokens of all pictures, I and O width in and out, R rank, of all layers together.


def lora_linears(
    x: Tensor, bases: Sequence[nn.Linear], factors: Sequence[tuple[Tensor, Tensor, float]]
) -> tuple[Tensor, ...]:
    """The answers of frozen linear layers with LoRAs; `factors`: each one's down, up and scale, both in the format of x
    and of the layers."""
    downs, ups, scales = zip(*factors, strict=True)
    weights, biases = [base.weight for base in bases], [base.bias for base in bases]
    return _LoraLinears.apply(x, scales, *weights, *biases, *downs, *ups)


class _LoraLinears(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, scales: Sequence[float], *tensors: Tensor | None) -> tuple[Tensor, ...]:
        count = len(scales)
        weights, biases, downs, ups = (tensors[start : start + count] for start in range(0, 4 * count, count))
        ctx.scales, ctx.shape, ctx.ranks = scales, x.shape, [len(down_RI) for down_RI in downs]
        x_TI = x.flatten(0, -2)
        down_RI = downs[0] if count == 1 else torch.cat(downs)
        inner_TR = product(x_TI, down_RI)
        inners = _scaled(inner_TR, ctx.ranks, scales)
        answers = []
        for weight_OI, bias_O, up_OR, inner in zip(weights, biases, ups, inners, strict=True):
            answer_TO = add_product(product(inner, up_OR, bias_O), x_TI, weight_OI)
            answers.append(answer_TO.view(*x.shape[:-1], -1))
        ctx.save_for_backward(x_TI, inner_TR, down_RI, *weights, *ups)
        return tuple(answers)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_TI, inner_TR, down_RI, *rest = ctx.saved_tensors
        count = len(ctx.scales)
        weights, ups = rest[:count], rest[count:]
        gradients_TO = [gradient.reshape(len(x_TI), -1) for gradient in gradients]
        of_inner_TR, of_ups, of_x = torch.empty_like(inner_TR), [], None
        inners = zip(inner_TR.split(ctx.ranks, 1), of_inner_TR.split(ctx.ranks, 1), strict=True)
        for gradient_TO, up_OR, (inner, of_inner) in zip(gradients_TO, ups, inners, strict=True):
            product_into(of_inner, gradient_TO, up_OR.t())
            of_ups.append(gradient_of_weight(gradient_TO, inner))
        _scaled(of_inner_TR, ctx.ranks, ctx.scales)
        of_downs = gradient_of_weight(of_inner_TR, x_TI).split(ctx.ranks)
        if ctx.needs_input_grad[0]:
            of_x_TI = product(of_inner_TR, down_RI.t())
            for gradient_TO, weight_OI in zip(gradients_TO, weights, strict=True):
                of_x_TI = add_product(of_x_TI, gradient_TO, weight_OI.t())
            of_x = of_x_TI.view(ctx.shape)
        return of_x, None, *[None] * (2 * count), *of_downs, *of_ups


def _scaled(inner_TR: Tensor, ranks: Sequence[int], scales: Sequence[float]) -> Sequence[Tensor]:
    """Each layer's part, scaled in place."""
    parts = inner_TR.split(ranks, 1)
    for part, scale in zip(parts, scales, strict=True):
        if scale != 1:
            part *= scale
    return parts
