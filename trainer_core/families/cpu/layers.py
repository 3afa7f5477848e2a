"""Which layers of a frozen model are those that are fastest on a CPU in fp32."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from diffusers import Transformer2DModel, UNet2DConditionModel
from diffusers.models.attention import FeedForward
from torch import nn

from ..channels_last import ChannelsLastTransformer
from .convolution import is_plain
from .feed_forward import FeedForwardInParts
from .frozen import FrozenConv2d, FrozenLinear
from .matrices import can_multiply
from .winograd import GROWTH, WinogradConv2d, can_transform

_MANY_PLACES = 192
"""Of a batch, from which on a transformed weight is faster by a quarter or more; with fewer there is less to be had for
its size."""


def use_cpu_layers(model: nn.Module, *, in_parts: bool = True) -> None:
    """Let a frozen model compute as here; it keeps its weights and names.

    Only in fp32 on a CPU; elsewhere the layers compute as before. Layers of other kinds, such as quantised ones, stay
    as they are.

    Args:
        in_parts: Tokens may be computed in parts; else a layer gets all at once, as one with dropout has to, or one
            that builds a weight at every call.
    """
    if not can_multiply():
        return
    model.to(memory_format=torch.channels_last)
    faster = {nn.Linear: FrozenLinear, Transformer2DModel: ChannelsLastTransformer}
    if in_parts:
        faster[FeedForward] = FeedForwardInParts
    for module in model.modules():
        if type(module) is not nn.Conv2d:
            module.__class__ = faster.get(type(module), type(module))
        elif is_plain(module):
            module.__class__ = FrozenConv2d


def transform_convolutions(model: nn.Module, keeping: Collection[nn.Module] = ()) -> None:
    """Let a frozen model keep the weights of its large 3x3 convolutions transformed (winograd.py), for good.

    Args:
        keeping: Layers whose weights somebody else reads.
    """
    if can_multiply():
        for layer in list(_transformable(model, keeping)):
            WinogradConv2d.transform(layer)


def bytes_of_transforms(model: nn.Module, keeping: Collection[nn.Module] = ()) -> int:
    """By how much `transform_convolutions` would make a model larger."""
    return round(sum(GROWTH * layer.weight.nbytes for layer in _transformable(model, keeping))) if can_multiply() else 0


def _transformable(model: nn.Module, keeping: Collection[nn.Module]) -> Iterator[nn.Conv2d]:
    layers = (layer for layer in model.modules() if type(layer) in (nn.Conv2d, FrozenConv2d))
    return (layer for layer in layers if is_plain(layer) and can_transform(layer) and layer not in keeping)


def blocks_of_many_places(unet: UNet2DConditionModel, places: int) -> Iterator[nn.Module]:
    """The parts of a UNet where a batch has many places. `places`: what its latents have together."""
    deepest = len(unet.down_blocks) - 1
    levels = [*enumerate(unet.down_blocks), (deepest, unet.mid_block)]
    for place, block in enumerate(unet.up_blocks):
        levels.append((deepest - place, block.resnets))
        levels.extend((deepest - place - 1, upsampler) for upsampler in block.upsamplers or ())
    return (block for level, block in levels if block is not None and places >> 2 * level >= _MANY_PLACES)
