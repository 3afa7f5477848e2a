"""The layers of a frozen model as they are fastest on a CPU in fp32."""

from __future__ import annotations

import torch
from diffusers import Transformer2DModel, UNet2DConditionModel
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from ..attention import use_attention
from ..channels_last import ChannelsLastTransformer
from .attention import CpuAttention
from .convolution import convolution, is_plain, is_pointwise, pointwise
from .feed_forward import FeedForwardInParts
from .onednn import can_multiply, linear

# Shape suffixes: B batch, C channels, H and W height and width.


class FrozenLinear(nn.Linear):
    """A linear layer of a frozen model."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class FrozenConv2d(nn.Conv2d):
    """A square convolution of a frozen model, without dilation or groups."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if is_pointwise(self):
            return pointwise(x_BCHW, self.weight, self.bias)
        return convolution(x_BCHW, self.weight, self.bias, self)


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
    if isinstance(model, UNet2DConditionModel):
        use_attention(model, CpuAttention())
