"""The blocks of a frozen UNet as they are fastest on a GPU. They keep their weights and names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from diffusers import Transformer2DModel
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D, UpBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional

from ..attention import PlainAttention
from ..channels_last import ChannelsLastTransformer
from ..room import room_for
from .convolution import add, convolved, unbiased
from .doubling import doubled
from .gate import gate
from .group_norm import group_norm, pass_and_normalise
from .joining import joined
from .layer_norm import add_and_normalise

# Shape suffixes: B batch, C channels, H and W height and width, L tokens, D text width.


class FusedGroupNorm(nn.GroupNorm):
    def forward(self, x_BCHW: Tensor) -> Tensor:
        return group_norm(x_BCHW, self, silu=False)


class FusedGEGLU(GEGLU):
    def forward(self, x_BLC: Tensor) -> Tensor:
        return gate(self.proj(x_BLC))


class FusedResnetBlock(ResnetBlock2D):
    def forward(self, x_BCHW: Tensor, temb: Tensor) -> Tensor:
        x_BCHW, normal_BCHW = pass_and_normalise(x_BCHW, self.norm1, silu=True)
        h_BCHW, bias_C = _convolved(self.conv1, normal_BCHW)
        shift_BC = self.time_emb_proj(functional.silu(temb))
        if bias_C is not None:
            shift_BC = shift_BC + bias_C
        h_BCHW, bias_C = _convolved(self.conv2, group_norm(h_BCHW, self.norm2, shift_BC, silu=True))
        if self.conv_shortcut is not None:
            x_BCHW = self.conv_shortcut(x_BCHW)
        return x_BCHW + h_BCHW if bias_C is None else add(x_BCHW, h_BCHW, bias_C)


class FusedUpsample(Upsample2D):
    def forward(self, x_BCHW: Tensor, output_size: tuple[int, int] | None = None) -> Tensor:
        """`output_size`: where the latents' sides are no multiples, for once."""
        if output_size is not None and list(output_size) != [2 * side for side in x_BCHW.shape[2:]]:
            return super().forward(x_BCHW, output_size)
        x_BCHW = doubled(x_BCHW)
        return convolved(x_BCHW, self.conv) if type(self.conv) is nn.Conv2d else self.conv(x_BCHW)


class FusedUpBlock(UpBlock2D):
    """`res_hidden_states_tuple`: of the way down, those of the largest first."""

    def forward(
        self,
        hidden_states: Tensor,
        res_hidden_states_tuple: Sequence[Tensor],
        temb: Tensor | None = None,
        upsample_size: tuple[int, int] | None = None,
        **told: Any,
    ) -> Tensor:
        x_BCHW, attentions = hidden_states, getattr(self, "attentions", [None] * len(self.resnets))
        for resnet, attention, passed in zip(self.resnets, attentions, reversed(res_hidden_states_tuple), strict=True):
            x_BCHW = joined(x_BCHW, passed)
            is_computed_again = torch.is_grad_enabled() and self.gradient_checkpointing
            run = partial(self._gradient_checkpointing_func, resnet) if is_computed_again else resnet
            x_BCHW = run(x_BCHW, temb)
            if attention is not None:
                x_BCHW = attention(x_BCHW, **told, return_dict=False)[0]
        for upsampler in self.upsamplers or ():
            x_BCHW = upsampler(x_BCHW, upsample_size)
        return x_BCHW


class FusedCrossAttnUpBlock(FusedUpBlock, CrossAttnUpBlock2D):
    pass


class FusedTransformerBlock(BasicTransformerBlock):
    def forward(
        self,
        x_BLC: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        *_: Any,
        **unused: Any,
    ) -> Tensor:
        """Whoever writes what a layer with a LoRA reads, forwards or backwards, leaves room for it, and whoever reads
        what a layer gives adds its bias."""
        (opened, _, closed), own, text = self.ff.net, self.attn1, self.attn2

        def normal(norm: nn.LayerNorm, x: Tensor, y: Tensor | None, bias: Tensor | None, before: nn.Module,
                   behind: nn.Module) -> tuple[Tensor, Tensor]:  # fmt: skip
            return add_and_normalise(x, y, norm, bias, room=room_for(behind), gradient_room=room_for(before))

        x_BLC, normal_BLC = normal(self.norm1, x_BLC, None, None, closed, own.to_q)  # the block before is like this one
        attended_BLC, bias_C = _attended(own, normal_BLC, None, attention_mask)
        x_BLC, normal_BLC = normal(self.norm2, x_BLC, attended_BLC, bias_C, own.to_out[0], text.to_q)
        attended_BLC, bias_C = _attended(text, normal_BLC, encoder_hidden_states, None)
        x_BLC, normal_BLC = normal(self.norm3, x_BLC, attended_BLC, bias_C, text.to_out[0], opened.proj)
        rooms = {"room": room_for(closed), "gradient_room": room_for(opened.proj)}
        # no name is given to what is wide: it would live as long
        y_BLC, bias_C = _multiplied(closed, gate(*_multiplied(opened.proj, normal_BLC), **rooms))
        return x_BLC + y_BLC if bias_C is None else add(x_BLC, y_BLC, bias_C)

    def layers_by_input(self) -> list[tuple[nn.Module, ...]]:
        """Its linear layers; together those that read the same."""
        (opened, _, closed), own, text = self.ff.net, self.attn1, self.attn2
        alone = own.to_out[0], text.to_q, text.to_out[0], opened.proj, closed
        return [(own.to_q, own.to_k, own.to_v), (text.to_k, text.to_v), *((layer,) for layer in alone)]


def use_fused_layers(unet: nn.Module, *, transformers: bool = True) -> None:
    """Let a frozen UNet in channels last, or a block of one, compute as here. Blocks of other kinds than SD1.5 and SDXL
    have stay as they are, and the transformers' blocks without `transformers`."""
    faster: dict[type, type] = {
        nn.GroupNorm: FusedGroupNorm,
        Transformer2DModel: ChannelsLastTransformer,
        UpBlock2D: FusedUpBlock,
        CrossAttnUpBlock2D: FusedCrossAttnUpBlock,
    }
    if transformers:
        faster[GEGLU] = FusedGEGLU
    for module in unet.modules():
        module.__class__ = faster.get(type(module), type(module))
        if type(module) is ResnetBlock2D and _is_usual_residual(module):
            module.__class__ = FusedResnetBlock
        elif type(module) is Upsample2D and _is_usual_upsampling(module):
            module.__class__ = FusedUpsample
        elif transformers and type(module) is BasicTransformerBlock and _is_usual_transformer(module):
            module.__class__ = FusedTransformerBlock


def _convolved(layer: nn.Module, x_BCHW: Tensor) -> tuple[Tensor, Tensor | None]:
    """A layer's answer, and the bias that it lacks yet."""
    return (unbiased(x_BCHW, layer), layer.bias) if type(layer) is nn.Conv2d else (layer(x_BCHW), None)


def _multiplied(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The same of a linear layer."""
    if type(layer) is nn.Linear:
        return functional.linear(x, layer.weight), layer.bias
    return layer.unbiased(x) if hasattr(layer, "unbiased") else (layer(x), None)


def _attended(
    attention: Attention, x_BLC: Tensor, text_BLD: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The same of an attention."""
    if isinstance(attention.processor, PlainAttention):
        return _multiplied(attention.to_out[0], attention.processor.attended(attention, x_BLC, text_BLD, mask))
    return attention(x_BLC, text_BLD, attention_mask=mask), None


def _is_usual_residual(block: ResnetBlock2D) -> bool:
    resizes = block.upsample is not None or block.downsample is not None
    drops, has_time = bool(block.dropout.p), block.time_emb_proj is not None and not block.skip_time_act
    is_plain = block.time_embedding_norm == "default" and block.output_scale_factor == 1
    return has_time and is_plain and not resizes and not drops and isinstance(block.nonlinearity, nn.SiLU)


def _is_usual_upsampling(layer: Upsample2D) -> bool:
    is_plain = layer.norm is None and layer.interpolate and not layer.use_conv_transpose
    return is_plain and isinstance(getattr(layer, "conv", None), nn.Conv2d)


def _is_usual_transformer(block: BasicTransformerBlock) -> bool:
    has_more = block.pos_embed is not None or hasattr(block, "fuser") or block.only_cross_attention
    is_norm = block.norm_type == "layer_norm" and block.attn2 is not None
    first, *between, _ = block.ff.net
    is_gated = isinstance(first, GEGLU) and all(isinstance(one, nn.Dropout) and not one.p for one in between)
    return is_norm and is_gated and len(between) == 1 and not has_more
