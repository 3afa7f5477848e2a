"""LoRA weights in half precision, all brought there in one go.

Else every layer would do so for itself, by autocast, with two small kernels forwards, two backwards, and two more for
the scale: on a fast GPU asking for them takes longer than computing them. The gradients are the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from ..families.beside import meet
from .adapters import Adapters
from .joint import Sum
from .low_rank import LoraLayer

if TYPE_CHECKING:  # needs Triton
    from ..families.gpu.narrow_gradients import NarrowGradients

_NONE: Mapping[nn.Parameter, Tensor] = MappingProxyType({})


@contextlib.contextmanager
def halves_at_hand(
    adapters: Iterable[Adapters], dtype: torch.dtype, gradients: Mapping[nn.Parameter, Tensor] = _NONE
) -> Iterator[None]:
    """The plain LoRA layers multiply by halves of their weights, in `dtype`, while the context lasts: forward and
    backward pass, for checkpointed blocks are computed again in the latter. In fp32 there are none.

    Args:
        gradients: Where those of some weights may be added, which then do not come back by autograd.
    """
    plain = [layer for part in adapters for layer in part.layers if type(layer) is LoraLayer]
    layers = plain if dtype != torch.float32 else []
    weights = [weight for layer in layers for weight in layer.factors()]
    scales = [scale for layer in layers for scale in (1.0, layer.strength * layer.scale)]
    sums = [
        Sum(gradients[weight], scale) if weight in gradients else None
        for weight, scale in zip(weights, scales, strict=True)
    ]
    places = [place for layer in layers for place in layer.places or (None, None)]
    stacks = dict.fromkeys(layer.border.stack for layer in layers if layer.border)
    gathered = list(dict.fromkeys(stack.gradients for stack in stacks if stack.gradients))
    halves = _Halves.apply(dtype, scales, places, gathered, *weights) if layers else ()
    for stack in stacks:
        stack.spread()
    for layer, down, up, of_down, of_up in zip(layers, halves[::2], halves[1::2], sums[::2], sums[1::2], strict=True):
        layer.halves, layer.sums = (down, up), (of_down, of_up)
    try:
        yield
    finally:
        for one in gathered:
            one.forget()
        for layer in layers:
            layer.halves, layer.sums = None, (None, None)


class _Halves(torch.autograd.Function):
    """Weights times their scales, in another format; gradients come back as the weights' own, and none where none
    came, or where it was added to a sum."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        dtype: torch.dtype,
        scales: Sequence[float],
        places: Sequence[Tensor | None],
        gathered: Sequence[NarrowGradients],
        *weights: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.scales, ctx.dtype, ctx.gathered = scales, weights[0].dtype, gathered
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weights[0])
        return _converted(_scaled(weights, scales), dtype, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found = [gradient for gradient in gradients if gradient is not None]  # module dropout leaves layers out
        for one in ctx.gathered:
            one.compute()
        meet(ctx.saved_tensors[0])  # joint.py computes them beside others
        scales = [scale for scale, gradient in zip(ctx.scales, gradients, strict=True) if gradient is not None]
        own = iter(_scaled(_converted(found, ctx.dtype), scales)) if found else iter(())
        return None, None, None, None, *(None if gradient is None else next(own) for gradient in gradients)


def _converted(
    tensors: Sequence[Tensor], dtype: torch.dtype, places: Iterable[Tensor | None] = repeat(None)
) -> tuple[Tensor, ...]:
    """`places`: where the copies are to lie; None: anywhere."""
    pairs = zip(tensors, places, strict=False)
    copies = tuple(torch.empty_like(one, dtype=dtype) if place is None else place[:] for one, place in pairs)
    torch._foreach_copy_(copies, tensors)
    return copies


def _scaled(tensors: Sequence[Tensor], scales: Sequence[float]) -> Sequence[Tensor]:
    return tensors if set(scales) == {1.0} else torch._foreach_mul(tensors, scales)
