"""A base model of random weights and pictures of noise: what is in them costs no step anything."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from tests.full_size_models import full_size
from trainer_core.demo.tokenizer import vocabulary_size, write_tokenizer
from trainer_core.families.tokenizers import CLIP_VOCABULARY
from trainer_core.families.writing import original_tensors

from .other_trainers import COMFYUI, SEED

CACHE = Path.home() / ".cache" / "lora-atelier-benchmarks"
FEWEST_PICTURES = 4


def write_base(folder: Path, family: str, device: str) -> Path:
    """A random checkpoint in fp16 (SD1.5 2 GB, SDXL 7 GB), drawn on `device`, with its tokenizer beside it, once.

    The tokenizer is CLIP's where a ComfyUI is given, else the demo's small one.
    """
    clip = COMFYUI.place()[0] / "comfy" / "sd1_tokenizer" if COMFYUI.is_given() else None
    path = folder / ("clip" if clip else "demo") / f"random-{family}.safetensors"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = full_size(family, vocabulary=CLIP_VOCABULARY if clip else vocabulary_size())
    for part in (model.unet, model.vae, *model.text_encoders):
        part.half().to_empty(device=device)
        for module in part.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    if clip:
        shutil.copytree(clip, path.with_name("tokenizer"), dirs_exist_ok=True)
    else:
        write_tokenizer(path.with_name("tokenizer"))
    save_file(original_tensors(model, torch.float16), path.with_name("part"))
    return path.with_name("part").rename(path)


def write_pictures(folder: Path, side: int, batch: int) -> Path:
    """As many pictures as a batch takes, and a few at least, each with a caption beside it."""
    draws = random.Random(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(max(batch, FEWEST_PICTURES)):
        Image.frombytes("RGB", (side, side), draws.randbytes(3 * side * side)).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"picture {index} of a ball", encoding="utf-8")
    return folder
