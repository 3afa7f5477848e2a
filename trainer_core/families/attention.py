"""How a UNet's transformers attend: what Stable Diffusion needs of diffusers' attention, and nothing more."""

from __future__ import annotations

from collections.abc import Callable

from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional

# Shape suffixes: B batch, Q queries, L tokens, C channels, D text width.


class PlainAttention:
    """diffusers divides by factors that are 1, which takes two passes over the memory each way."""

    def __init__(self, attend: Callable[..., Tensor] = functional.scaled_dot_product_attention) -> None:
        self.attend = attend
        """(queries, keys, values, mask) -> answer, all with heads before tokens."""

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, Q, C) from image tokens (B, Q, C) and, of cross-attention, text states (B, L, D)."""
        return attention.to_out[0](self.attended(attention, hidden_states, encoder_hidden_states, attention_mask))

    def attended(
        self, attention: Attention, x_BQC: Tensor, text_BLD: Tensor | None, mask: Tensor | None = None
    ) -> Tensor:
        """What the last layer of an attention is given (B, Q, C)."""
        three = self.project(attention, x_BQC, text_BLD)
        query, key, value = (one.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for one in three)
        return self.attend(query, key, value, mask).transpose(1, 2).flatten(2)

    def project(self, attention: Attention, x_BQC: Tensor, text_BLD: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, heads side by side."""
        seen = x_BQC if text_BLD is None else text_BLD
        return attention.to_q(x_BQC), attention.to_k(seen), attention.to_v(seen)


def use_attention(unet: nn.Module, attention: PlainAttention) -> None:
    """Let a UNet, or a block of one, attend in another way, unless somebody changed how it does."""
    layers = [module for module in unet.modules() if isinstance(module, Attention)]
    if all(type(one.processor) is AttnProcessor2_0 or isinstance(one.processor, PlainAttention) for one in layers):
        for one in layers:
            one.set_processor(attention)
