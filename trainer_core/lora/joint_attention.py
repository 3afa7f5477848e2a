"""Attention whose queries, keys and values read their input once where they have LoRAs."""

from __future__ import annotations

from collections.abc import Sequence

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from ..families.attention import PlainAttention
from .joint import lora_linears
from .low_rank import LoraLayer


class JointAttention(PlainAttention):
    """Queries, keys and values of one input are one multiplication as far as LoRAs go."""

    def project(self, attention: Attention, x_BQC: Tensor, text_BLD: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if text_BLD is None:
            return answers_to(x_BQC, (attention.to_q, attention.to_k, attention.to_v))
        return attention.to_q(x_BQC), *answers_to(text_BLD, (attention.to_k, attention.to_v))


def answers_to(x: Tensor, layers: Sequence[nn.Module]) -> tuple[Tensor, ...]:
    """What layers give for the same input; jointly where each is a frozen one with nothing but a LoRA."""
    if all(isinstance(layer, LoraLayer) and layer.joins(x) for layer in layers):
        factors = [layer.factors_at_hand for layer in layers]
        return lora_linears(x, [layer.base for layer in layers], factors, layers[0].border)
    return tuple(layer(x) for layer in layers)
