"""Which model family a file belongs to, where others are refused by name; and which base model it is, by its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import TrainingError
from ..files import digest, sha256_of_file

UNET = "model.diffusion_model."
VAE = "first_stage_model."
SD1_TEXT = "cond_stage_model.transformer."
SDXL_TEXT_1 = "conditioner.embedders.0.transformer."
SDXL_TEXT_2 = "conditioner.embedders.1.model."

# A piece of a tensor name that only this family has, most telling first.
_OTHERS = (
    ("double_blocks.0.img_attn", "a FLUX or Hunyuan"),
    ("joint_blocks.", "a Stable Diffusion 3"),
    ("distilled_guidance_layer", "a Chroma"),
    ("transformer_blocks.0.img_mod", "a Qwen-Image"),
    ("cap_embedder.", "a Lumina or Z-Image"),
    ("blocks.0.self_attn.norm_q", "a Wan video"),
    ("llm_adapter.", "an Anima"),
    ("adaln_single.", "a PixArt or LTX"),
    ("effnet_mapper", "a Stable Cascade"),
    ("clip_txt_pooled_mapper", "a Stable Cascade"),
    ("mlp_t5.", "an AuraFlow"),
)
_LORA_MARKS = ("lora_down.weight", "lora_up.weight", "lora_A.weight", "lora_B.weight", ".hada_w1_a", ".lokr_w1")

Shapes = Mapping[str, tuple[int, ...]]


def identify(shapes: Shapes, file_name: str) -> str:
    """ "sd15" or "sdxl", from tensor names and shapes.

    Raises:
        TrainingError: any other model; names what it is and what to choose instead.
    """
    stem = UNET + "input_blocks.0.0.weight"
    if stem not in shapes:
        raise TrainingError(f"{file_name} {_what_it_is(shapes)}. {_ADVICE}")
    if shapes[stem][1] != 4:
        kind = "an inpainting" if shapes[stem][1] == 9 else "an edit"
        raise TrainingError(f"{file_name} is {kind} checkpoint ({shapes[stem][1]} input channels). {_ADVICE}")
    if _has(shapes, "cond_stage_model.model."):
        raise TrainingError(f"{file_name} is a Stable Diffusion 2 checkpoint. {_ADVICE}")
    if _has(shapes, "conditioner.embedders.0.model."):
        raise TrainingError(f"{file_name} is an SDXL refiner checkpoint. {_ADVICE}")
    is_sdxl = UNET + "label_emb.0.0.weight" in shapes
    if is_sdxl and UNET + "middle_block.1.proj_in.weight" not in shapes:
        raise TrainingError(f"{file_name} is a smaller kin of SDXL (SSD-1B, Vega or KOALA). {_ADVICE}")
    parts = {"a VAE": VAE, "a text encoder": SDXL_TEXT_1 if is_sdxl else SD1_TEXT}
    if is_sdxl:
        parts["a second text encoder"] = SDXL_TEXT_2
    missing = [name for name, prefix in parts.items() if not _has(shapes, prefix)]
    if missing:
        raise TrainingError(f"{file_name} lacks {' and '.join(missing)}. Choose the full checkpoint of this model.")
    return "sdxl" if is_sdxl else "sd15"


_ADVICE = "LoRA Atelier trains on SD1.5 and SDXL checkpoints: choose one of those."


def _what_it_is(shapes: Shapes) -> str:
    for mark, name in _OTHERS:
        if any(mark in key for key in shapes):
            return f"is {name} checkpoint"
    if any(key.endswith(mark) for key in shapes for mark in _LORA_MARKS):
        return "is a LoRA, not a base model"
    if any(key.startswith(("decoder.", "encoder.", VAE)) for key in shapes):
        return "is a VAE, not a base model"
    if any("text_model." in key for key in shapes):
        return "is a text encoder, not a base model"
    if any(key.startswith("down_blocks.") for key in shapes):
        return "is a bare diffusers UNet; choose its whole folder, the one with model_index.json"
    return "is not a checkpoint of a family known here"


def _has(shapes: Shapes, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in shapes)


def identity_of(path: Path) -> str:
    """A hash that changes with the base model's content: SHA-256 of a file, or of all weights of a folder."""
    if path.is_dir():
        weights = sorted(path.glob("*/*.safetensors"))
        return digest([[str(file.relative_to(path)), sha256_of_file(file)] for file in weights])
    return sha256_of_file(path)
