"""What a base model is made of, read without its weights."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig

from ..errors import TrainingError
from ..files import digest
from . import configs
from .base_model import BaseModel
from .checkpoint import Checkpoint
from .identify import SD1_TEXT, SDXL_TEXT_1, SDXL_TEXT_2, UNET, VAE
from .loading import TEXT_ENCODERS, family_of
from .sdxl import SDXL
from .without_storage import WithoutStorage


@dataclass(frozen=True, slots=True)
class Architecture:
    """Equal for all base models of the same layers, whatever their weights and files are."""

    family: type[BaseModel]
    unet: dict[str, Any] = field(compare=False)
    vae: dict[str, Any] = field(compare=False)
    texts: tuple[CLIPTextConfig, ...] = field(compare=False)
    key: str
    """Of all their settings."""

    def outline(self) -> BaseModel:
        """A base model without its weights (on the meta device): shapes and names only. It has no tokenizers. A new one
        at each call, which may be changed."""
        with WithoutStorage():
            unet = UNet2DConditionModel.from_config(self.unet)
            vae = AutoencoderKL.from_config(self.vae)
            encoders = [kind(deepcopy(config)) for kind, config in zip(TEXT_ENCODERS, self.texts, strict=False)]
        return self.family(unet=unet, vae=vae, text_encoders=encoders, tokenizers=[])


def architecture_of(path: Path) -> Architecture:
    """Of a checkpoint file or diffusers folder.

    Raises:
        TrainingError: unreadable, cut short, or of a family that cannot be trained.
    """
    family = family_of(path)
    unet, vae, texts = _of_folder(path, family) if path.is_dir() else _of_file(path, family)
    key = digest(unet, vae, [text.to_dict() for text in texts])
    return Architecture(family, unet, vae, tuple(texts), key)


def outline_of(path: Path) -> BaseModel:
    """A base model's outline, to be looked at: all base models of the same layers have the same one.

    Raises:
        TrainingError: as `architecture_of`.
    """
    return _shared_outline(architecture_of(path))


@lru_cache(maxsize=4)
def _shared_outline(architecture: Architecture) -> BaseModel:
    """Shapes without weights take a second to lay out, and are asked for at each change of a widget."""
    return architecture.outline()


_Settings = tuple[dict[str, Any], dict[str, Any], list[CLIPTextConfig]]
"""Of the UNet, of the VAE and of each text encoder."""


def _of_folder(path: Path, family: type[BaseModel]) -> _Settings:
    places = ("text_encoder", "text_encoder_2")[: len(family.text_encoder_prefixes)]
    try:
        unet = UNet2DConditionModel.load_config(path / "unet", local_files_only=True)
        vae = AutoencoderKL.load_config(path / "vae", local_files_only=True)
        return unet, vae, [CLIPTextConfig.from_pretrained(path / place, local_files_only=True) for place in places]
    except (OSError, ValueError) as problem:
        raise TrainingError(f"{path.name} cannot be loaded: {str(problem).strip().splitlines()[0]}") from problem


def _of_file(path: Path, family: type[BaseModel]) -> _Settings:
    file = Checkpoint(path)
    texts = [configs.clip_l_config(file.under(SDXL_TEXT_1 if family is SDXL else SD1_TEXT))]
    if family is SDXL:
        texts.append(configs.clip_g_config(file.under(SDXL_TEXT_2)))
    vae = configs.vae_config(file.under(VAE), family.latent_scale)
    return configs.unet_config(file.under(UNET)), vae, texts
