"""Stable Diffusion 1.x: ChilloutMix, MajicMIX, Realistic Vision, AnyLoRA, Anything, ReV Animated and their kin."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .base_model import BaseModel, Conditioning
from .prompts import PromptReading, chunk_prompts
from .sending import send


class SD15(BaseModel):
    family = "sd15"
    title = "SD1.5"
    kohya_version = "sd_v1"
    architecture = "stable-diffusion-v1/lora"
    implementation = "diffusers"
    latent_scale = 0.18215
    text_encoder_prefixes = ("lora_te",)
    unet_in_original_names = False

    def encode_each(self, texts: Sequence[str], clip_skip: int, reading: PromptReading) -> list[Conditioning]:
        """CLIP-L's hidden states of the chosen layer, through the final layer norm."""
        (encoder,) = self.text_encoders
        prompts = chunk_prompts(self.tokenizers[0], texts, reading, padding=None)
        hidden = encoder(send(prompts.ids_NL, encoder.device), output_hidden_states=True).hidden_states
        states_NLD = final_layer_norm(encoder)(hidden[-min(clip_skip, len(hidden))])
        return [Conditioning(states_1LD) for states_1LD in prompts.states(states_NLD)]


def final_layer_norm(encoder: nn.Module) -> nn.Module:
    """The norm after the last layer: transformers 5 moved it up from `text_model`."""
    return getattr(encoder, "text_model", encoder).final_layer_norm
