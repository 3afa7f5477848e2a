"""Stable Diffusion XL: SDXL 1.0, Pony, Illustrious, NoobAI and their kin, epsilon and v-prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .base_model import BaseModel, Conditioning, PictureSize
from .tokenizers import tokenise


class SDXL(BaseModel):
    family = "sdxl"
    kohya_version = "sdxl_base_v1-0"
    architecture = "stable-diffusion-xl-v1-base/lora"
    implementation = "https://github.com/Stability-AI/generative-models"
    latent_scale = 0.13025
    text_encoder_prefixes = ("lora_te1", "lora_te2")
    unet_in_original_names = True

    def encode_text(self, texts: Sequence[str], clip_skip: int) -> Conditioning:
        """Both encoders' last-but-one states side by side (B, 77, D1 + D2) and CLIP-G's pooled text (B, P).

        SDXL was trained on that layer, so `clip_skip` does not apply.
        """
        clip_l, clip_g = self.text_encoders
        ids_l = tokenise(self.tokenizers[0], texts).to(clip_l.device)
        ids_g = tokenise(self.tokenizers[1], texts, pad_with=0).to(clip_g.device)
        states_l = clip_l(ids_l, output_hidden_states=True).hidden_states[-2]
        out_g = clip_g(ids_g, output_hidden_states=True)
        return Conditioning(torch.cat([states_l, out_g.hidden_states[-2]], dim=-1), out_g.text_embeds)

    def added_conditions(self, conditioning: Conditioning, sizes: Sequence[PictureSize]) -> dict[str, Tensor]:
        """SDXL's micro-conditioning: pooled text and six sizes a picture (Podell et al., arXiv:2307.01952, 2.2)."""
        pooled = conditioning.pooled_BP
        numbers = [[*size.original, *size.crop, *size.target] for size in sizes]
        return {"text_embeds": pooled, "time_ids": torch.tensor(numbers, device=pooled.device, dtype=pooled.dtype)}
