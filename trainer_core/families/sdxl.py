"""Stable Diffusion XL: SDXL 1.0, Pony, Illustrious, NoobAI and their kin, epsilon and v-prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .base_model import BaseModel, Conditioning, PictureSize
from .prompts import PromptReading, chunk_prompts
from .sending import send


class SDXL(BaseModel):
    family = "sdxl"
    title = "SDXL"
    kohya_version = "sdxl_base_v1-0"
    architecture = "stable-diffusion-xl-v1-base/lora"
    implementation = "https://github.com/Stability-AI/generative-models"
    latent_scale = 0.13025
    text_encoder_prefixes = ("lora_te1", "lora_te2")
    unet_in_original_names = True

    def encode_each(self, texts: Sequence[str], clip_skip: int, reading: PromptReading) -> list[Conditioning]:
        """Both encoders' last-but-one states side by side (1, L, D1 + D2) and CLIP-G's pooled text (1, P).

        SDXL was trained on that layer, so `clip_skip` does not apply.
        """
        clip_l, clip_g = self.text_encoders
        prompts_l = chunk_prompts(self.tokenizers[0], texts, reading, padding=None)
        prompts_g = chunk_prompts(self.tokenizers[1], texts, reading, padding=0)
        out_l = clip_l(send(prompts_l.ids_NL, clip_l.device), output_hidden_states=True)
        out_g = clip_g(send(prompts_g.ids_NL, clip_g.device), output_hidden_states=True)
        states_l = prompts_l.states(out_l.hidden_states[-2])
        states_g = prompts_g.states(out_g.hidden_states[-2])
        states = [torch.cat(both, dim=-1) for both in zip(states_l, states_g, strict=True)]
        return [Conditioning(*both) for both in zip(states, prompts_g.pooled(out_g.text_embeds), strict=True)]

    def added_conditions(self, conditioning: Conditioning, sizes: Sequence[PictureSize]) -> dict[str, Tensor]:
        """SDXL's micro-conditioning: pooled text and six sizes a picture (Podell et al., arXiv:2307.01952, 2.2)."""
        pooled = conditioning.pooled_BP
        numbers = [[*size.original, *size.crop, *size.target] for size in sizes]
        sizes_B6 = torch.tensor(numbers, dtype=torch.float32)  # half precision has no 1365
        return {"text_embeds": pooled, "time_ids": send(sizes_B6, pooled.device)}
