"""LoRA on linear layers in half precision: what it adds is added by the multiplication itself, forwards and backwards,
and layers with the same input share what they read of it.

Left to autograd, a layer's answer, its LoRA's and all gradients for the input are tensors of their own, which are then
added: passes over the memory that on a fast GPU take longer than a small rank's arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from ..families.attention import PlainAttention

# Shape suffixes: T tokens of all pictures, I and O width in and out, R rank, of all layers together.


class JointAttention(PlainAttention):
    """Queries, keys and values of one input are one multiplication as far as LoRAs go."""

    def project(self, attention: Attention, x_BQC: Tensor, text_BLD: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if text_BLD is None:
            return answers_to(x_BQC, (attention.to_q, attention.to_k, attention.to_v))
        return attention.to_q(x_BQC), *answers_to(text_BLD, (attention.to_k, attention.to_v))


def answers_to(x: Tensor, layers: Sequence[nn.Module]) -> tuple[Tensor, ...]:
    """What layers give for the same input; jointly where each has halves of a LoRA at hand."""
    if all(getattr(layer, "joins", False) for layer in layers):
        return lora_linears(x, [layer.base for layer in layers], [layer.halves for layer in layers])
    return tuple(layer(x) for layer in layers)


def lora_linears(x: Tensor, bases: Sequence[nn.Linear], halves: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
    """The answers of frozen linear layers with LoRAs; `halves`: each one's down, and up times the scale, in the format
    of x and of the layers."""
    downs, ups = zip(*halves, strict=True)
    weights, biases = [base.weight for base in bases], [base.bias for base in bases]
    return _LoraLinears.apply(x, len(bases), *weights, *biases, *downs, *ups)


class _LoraLinears(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, count: int, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        weights, biases, downs, ups = (tensors[start : start + count] for start in range(0, 4 * count, count))
        ctx.count, ctx.shape, ctx.ranks = count, x.shape, [len(down_RI) for down_RI in downs]
        x_TI = x.flatten(0, -2)
        down_RI = downs[0] if count == 1 else torch.cat(downs)
        inner_TR = x_TI @ down_RI.t()
        answers = []
        for weight_OI, bias_O, up_OR, inner in zip(weights, biases, ups, inner_TR.split(ctx.ranks, 1), strict=True):
            answer_TO = functional.linear(x_TI, weight_OI, bias_O).addmm_(inner, up_OR.t())
            answers.append(answer_TO.view(*x.shape[:-1], -1))
        ctx.save_for_backward(x_TI, inner_TR, down_RI, *weights, *ups)
        return tuple(answers)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_TI, inner_TR, down_RI, *rest = ctx.saved_tensors
        layers = zip(gradients, rest[: ctx.count], rest[ctx.count :], inner_TR.split(ctx.ranks, 1), strict=True)
        of_inner_TR, of_x_TI, of_ups = torch.empty_like(inner_TR), None, []
        for (gradient, weight_OI, up_OR, inner), of_inner in zip(layers, of_inner_TR.split(ctx.ranks, 1), strict=True):
            gradient_TO = gradient.reshape(len(x_TI), -1)
            torch.mm(gradient_TO, up_OR, out=of_inner)
            of_ups.append(gradient_TO.t() @ inner)
            if ctx.needs_input_grad[0]:
                of_x_TI = gradient_TO @ weight_OI if of_x_TI is None else of_x_TI.addmm_(gradient_TO, weight_OI)
        if of_x_TI is not None:
            of_x_TI = of_x_TI.addmm_(of_inner_TR, down_RI).view(ctx.shape)
        of_downs = (of_inner_TR.t() @ x_TI).split(ctx.ranks)
        return of_x_TI, None, *[None] * (2 * ctx.count), *of_downs, *of_ups
