"""SD1.5 and SDXL at their real size, without storage: for counting targets, parameters and bytes."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from trainer_core.families.base_model import BaseModel
from trainer_core.families.sd15 import SD15
from trainer_core.families.sdxl import SDXL

DOWN, CROSS_DOWN, UP, CROSS_UP = "DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"
REFERENCE_UNETS = {
    "sd15": {
        "block_out_channels": (320, 640, 1280, 1280),
        "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
        "up_block_types": (UP, CROSS_UP, CROSS_UP, CROSS_UP),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
        "up_block_types": (CROSS_UP, CROSS_UP, UP),
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""unet/config.json of stable-diffusion-v1-5 and stable-diffusion-xl-base-1.0, where it differs from the defaults."""
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}


def full_size(family: str, vocabulary: int = 49408, *, layers: int = 2) -> BaseModel:
    """The real model's layout at its real size, without storage.

    Args:
        vocabulary: Tokens that the text encoders know.
        layers: Of a level of the UNet, on the way down. With one it is counted in half of the time.
    """
    marks = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "vocab_size": vocabulary}
    with torch.device("meta"):
        encoders = [CLIPTextModel(CLIPTextConfig(**CLIP_L, **marks, hidden_act="quick_gelu", projection_dim=768))]
        if family == "sdxl":
            clip_g = CLIPTextConfig(**CLIP_G, **marks, hidden_act="gelu", projection_dim=1280)
            encoders.append(CLIPTextModelWithProjection(clip_g))
        return {"sd15": SD15, "sdxl": SDXL}[family](
            unet=UNet2DConditionModel(**REFERENCE_UNETS[family], layers_per_block=layers),
            vae=AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
                latent_channels=4,
            ),
            text_encoders=encoders,
            tokenizers=[],
        )
