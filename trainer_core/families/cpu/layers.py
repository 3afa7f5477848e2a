"""The layers of a frozen model as they are fastest on a CPU in fp32."""

from __future__ import annotations

import torch
from diffusers import Transformer2DModel, UNet2DConditionModel
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor, nn

from .attention import CpuAttention
from .convolution import convolution, is_plain, is_pointwise, pointwise
from .feed_forward import FeedForwardInParts
from .onednn import can_multiply, linear

# Shape suffixes: B batch, C channels, H and W height and width, L tokens.


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


class ChannelsLastTransformer(Transformer2DModel):
    """Tokens become a picture as they lie. diffusers turns them, and the next convolution turns them back."""

    def _get_output_for_continuous_inputs(
        self, hidden_states: Tensor, residual: Tensor, batch_size: int, height: int, width: int, inner_dim: int
    ) -> Tensor:
        if self.use_linear_projection:
            hidden_states = self.proj_out(hidden_states)
        answer_BCHW = hidden_states.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return residual + (answer_BCHW if self.use_linear_projection else self.proj_out(answer_BCHW))


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
    if isinstance(model, UNet2DConditionModel) and _attends_as_usual(model):
        model.set_attn_processor(CpuAttention())


def _attends_as_usual(unet: UNet2DConditionModel) -> bool:
    return all(type(processor) is AttnProcessor2_0 for processor in unet.attn_processors.values())
