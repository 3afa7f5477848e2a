"""Small random models of each family, a few MB, written as one file in the original layout."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from trainer_core.demo.tokenizer import vocabulary_size, write_tokenizer
from trainer_core.families.base_model import BaseModel
from trainer_core.families.sd15 import SD15
from trainer_core.families.sdxl import SDXL
from trainer_core.families.writing import original_tensors


def tiny_sd15(*, seed: int = 0, vocabulary: int = 0) -> SD15:
    """SD1.5's layout: two levels of 32 and 64 channels, transformers on the first and in the middle; VAE of 8."""
    return _build(SD15, seed, vocabulary or vocabulary_size(), _sd15_unet)


def tiny_sdxl(*, seed: int = 0, vocabulary: int = 0, prediction_type: str = "epsilon") -> SDXL:
    """SDXL's layout: two levels, transformers of depth 2 on the second and in the middle, both text encoders."""
    model = _build(SDXL, seed, vocabulary or vocabulary_size(), _sdxl_unet)
    model.prediction_type = prediction_type
    model.zero_terminal_snr = prediction_type == "v_prediction"
    return model


def write_checkpoint(path: Path, model: BaseModel, dtype: torch.dtype = torch.float32) -> Path:
    """Write a model as one file, with the demo tokenizer beside it where its vocabulary fits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(original_tensors(model, dtype), path)
    write_tokenizer(path.parent / "tokenizer")
    return path


def _build(family: type[BaseModel], seed: int, vocabulary: int, make_unet) -> BaseModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoders = [_clip(CLIPTextModel, vocabulary, "quick_gelu")]
        if family is SDXL:
            encoders.append(_clip(CLIPTextModelWithProjection, vocabulary, "gelu"))
        model = family(unet=make_unet(), vae=_vae(), text_encoders=encoders, tokenizers=[])
    for part in (model.unet, model.vae, *model.text_encoders):
        part.requires_grad_(False).eval()
    return model


def _sd15_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=8,
    )


def _sdxl_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=128,
        attention_head_dim=(1, 1),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=6 * 256 + 64,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
    )


def _clip(kind, vocabulary: int, activation: str):
    return kind(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=3,
            num_attention_heads=1,
            max_position_embeddings=77,
            hidden_act=activation,
            projection_dim=64,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    )
