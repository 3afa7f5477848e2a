"""The blocks of a frozen UNet as they are fastest on a GPU. They keep their weights and names."""

from __future__ import annotations

from typing import Any

from diffusers import Transformer2DModel, UNet2DConditionModel
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional

from ..channels_last import ChannelsLastTransformer
from .convolution import add, unbiased
from .gate import gate
from .group_norm import group_norm
from .layer_norm import add_and_normalise, layer_norm

# Shape suffixes: B batch, C channels, H and W height and width, L tokens, D text width.


class FusedGroupNorm(nn.GroupNorm):
    def forward(self, x_BCHW: Tensor) -> Tensor:
        return group_norm(x_BCHW, self, silu=False)


class FusedGEGLU(GEGLU):
    def forward(self, x_BLC: Tensor) -> Tensor:
        return gate(self.proj(x_BLC))


class FusedResnetBlock(ResnetBlock2D):
    def forward(self, x_BCHW: Tensor, temb: Tensor) -> Tensor:
        h_BCHW, bias_C = _convolved(self.conv1, group_norm(x_BCHW, self.norm1, silu=True))
        shift_BC = self.time_emb_proj(functional.silu(temb))
        if bias_C is not None:
            shift_BC = shift_BC + bias_C
        h_BCHW, bias_C = _convolved(self.conv2, group_norm(h_BCHW, self.norm2, shift_BC, silu=True))
        if self.conv_shortcut is not None:
            x_BCHW = self.conv_shortcut(x_BCHW)
        return x_BCHW + h_BCHW if bias_C is None else add(x_BCHW, h_BCHW, bias_C)


class FusedTransformerBlock(BasicTransformerBlock):
    def forward(
        self,
        x_BLC: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        *_: Any,
        **unused: Any,
    ) -> Tensor:
        attended_BLC = self.attn1(layer_norm(x_BLC, self.norm1), attention_mask=attention_mask)
        x_BLC, normal_BLC = add_and_normalise(x_BLC, attended_BLC, self.norm2)
        attended_BLC = self.attn2(normal_BLC, encoder_hidden_states)
        x_BLC, normal_BLC = add_and_normalise(x_BLC, attended_BLC, self.norm3)
        return x_BLC + self.ff(normal_BLC)


def use_fused_layers(unet: UNet2DConditionModel, *, transformers: bool = True) -> None:
    """Let a frozen UNet in channels last compute as here. Blocks of other kinds than SD1.5 and SDXL have stay as they
    are, and the transformers' blocks without `transformers`."""
    faster: dict[type, type] = {nn.GroupNorm: FusedGroupNorm, Transformer2DModel: ChannelsLastTransformer}
    if transformers:
        faster[GEGLU] = FusedGEGLU
    for module in unet.modules():
        module.__class__ = faster.get(type(module), type(module))
        if type(module) is ResnetBlock2D and _is_usual_residual(module):
            module.__class__ = FusedResnetBlock
        elif transformers and type(module) is BasicTransformerBlock and _is_usual_transformer(module):
            module.__class__ = FusedTransformerBlock


def _convolved(layer: nn.Module, x_BCHW: Tensor) -> tuple[Tensor, Tensor | None]:
    """A layer's answer, and the bias that it lacks yet."""
    return (unbiased(x_BCHW, layer), layer.bias) if type(layer) is nn.Conv2d else (layer(x_BCHW), None)


def _is_usual_residual(block: ResnetBlock2D) -> bool:
    resizes = block.upsample is not None or block.downsample is not None
    drops, has_time = bool(block.dropout.p), block.time_emb_proj is not None and not block.skip_time_act
    is_plain = block.time_embedding_norm == "default" and block.output_scale_factor == 1
    return has_time and is_plain and not resizes and not drops and isinstance(block.nonlinearity, nn.SiLU)


def _is_usual_transformer(block: BasicTransformerBlock) -> bool:
    has_more = block.pos_embed is not None or hasattr(block, "fuser") or block.only_cross_attention
    return block.norm_type == "layer_norm" and block.attn2 is not None and not has_more
