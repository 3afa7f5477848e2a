"""How the demo base was made: a small SD1.5-layout model, trained from scratch on the drawn world.

    python -m trainer_core.demo.train_base vae WORK       # pictures <-> latents
    python -m trainer_core.demo.train_base unet WORK      # UNet and text encoder
    python -m trainer_core.demo.train_base export WORK    # writes base/demo-base.safetensors and its tokenizer

Each stage can be stopped and started again; it goes on from its last checkpoint in WORK. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import safetensors.torch
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from ..families.identify import VAE
from ..families.sd15 import SD15
from ..families.writing import original_tensors
from ..files import write_atomic
from . import DEMO_BASE
from .base_unet import train_unet
from .base_vae import train_vae
from .tokenizer import write_tokenizer


def export(work: Path) -> None:
    """Write the finished parts as one fp16 checkpoint in the original layout, where the pack looks for it."""
    model = SD15(
        unet=UNet2DConditionModel.from_pretrained(work / "unet"),
        vae=AutoencoderKL.from_pretrained(work / "vae"),
        text_encoders=[CLIPTextModel.from_pretrained(work / "text_encoder")],
        tokenizers=[],
    )
    tensors = original_tensors(model, torch.float16)
    for name, tensor in tensors.items():
        # fp8 for the VAE's encoder keeps the file below 12 MB; it moves the latents by about 1 % of their spread.
        if name.startswith(f"{VAE}encoder.") and tensor.ndim > 1:
            tensors[name] = tensor.to(torch.float8_e4m3fn)
    data = safetensors.torch.save(tensors, {"modelspec.license": "CC0-1.0"})
    write_atomic(DEMO_BASE, data)
    write_tokenizer(DEMO_BASE.parent / "tokenizer")
    print(f"{DEMO_BASE}: {len(data) / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("vae", "unet", "export"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--learning-rate", type=float)
    args = parser.parse_args()
    if args.stage == "export":
        return export(args.work)
    args.work.mkdir(parents=True, exist_ok=True)
    stage, steps, batch, rate = {"vae": (train_vae, 1500, 16, 1e-3), "unet": (train_unet, 3400, 64, 1e-3)}[args.stage]
    stage(args.work, args.steps or steps, args.batch or batch, args.learning_rate or rate)


if __name__ == "__main__":
    main()
