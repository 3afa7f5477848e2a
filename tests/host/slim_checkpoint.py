"""A small SD1.5 checkpoint with random weights, which both ComfyUI and the trainer take for a real one.

    python -m tests.host.slim_checkpoint FILE

ComfyUI knows SD1.5 by 320 channels and a text width of 768, and fixes CLIP-L and the VAE; only the UNet can
be slimmed, to two levels of one block. About 500 MB in fp16.
"""

import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from trainer_core.families.sd15 import SD15
from trainer_core.families.writing import original_tensors


def write_slim_checkpoint(path: Path) -> None:
    """Write the checkpoint, whole or not at all. The same weights every time."""
    torch.manual_seed(0)
    model = SD15(unet=_slim_unet(), vae=_full_vae(), text_encoders=[_full_clip_l()], tokenizers=[])
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    save_file(original_tensors(model, torch.float16), unfinished)
    unfinished.replace(path)


def _slim_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(320, 320),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=768,
        attention_head_dim=8,
    )


def _full_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
    )


def _full_clip_l() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            hidden_act="quick_gelu",
            bos_token_id=49406,
            eos_token_id=49407,
        )
    )


if __name__ == "__main__":
    write_slim_checkpoint(Path(sys.argv[1]))
