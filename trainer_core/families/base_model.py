"""A base model taken apart: UNet, VAE, text encoders, tokenizers, and what the family adds to each."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTokenizer

from .prompts import AS_CAPTION, PromptReading
from .sending import send

# Shape suffixes: B batch, C channels, H and W height and width, L tokens, D text width, P pooled width.

PredictionType = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Prompts as the UNet reads them."""

    states_BLD: Tensor
    pooled_BP: Tensor | None = None
    """SDXL's second, pooled text embedding; SD1.5 has none."""

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Conditioning:
        pooled = None if self.pooled_BP is None else self.pooled_BP.to(device, dtype)
        return Conditioning(self.states_BLD.to(device, dtype), pooled)

    def sent_to(self, device: torch.device | str) -> Conditioning:
        """Prompts that are kept on the CPU, on the device; a GPU is not waited for."""
        pooled = None if self.pooled_BP is None else send(self.pooled_BP, device)
        return Conditioning(send(self.states_BLD, device), pooled)

    def __getitem__(self, rows: slice) -> Conditioning:
        """Some of the prompts."""
        return Conditioning(self.states_BLD[rows], None if self.pooled_BP is None else self.pooled_BP[rows])

    def rows(self) -> list[Conditioning]:
        """The same prompts one by one, each with B = 1."""
        count = len(self.states_BLD)
        pooled = [None] * count if self.pooled_BP is None else self.pooled_BP.split(1)
        return [Conditioning(s, p) for s, p in zip(self.states_BLD.split(1), pooled, strict=True)]

    @staticmethod
    def join(parts: Sequence[Conditioning]) -> Conditioning:
        """Several prompts as one batch.

        Prompts of fewer chunks are repeated up to the least common length, as ComfyUI does: attention to all tokens
        twice over gives what attention to them once does, so that no prompt notices its neighbours.
        """
        length = math.lcm(*(part.states_BLD.shape[1] for part in parts))
        states = torch.cat([part.states_BLD.repeat(1, length // part.states_BLD.shape[1], 1) for part in parts])
        pooled = [part.pooled_BP for part in parts if part.pooled_BP is not None]
        return Conditioning(states, torch.cat(pooled) if pooled else None)


@dataclass(frozen=True, slots=True)
class PictureSize:
    """What SDXL is told of a picture's size, in pixels."""

    original: tuple[int, int]
    """(height, width) of the source picture."""
    crop: tuple[int, int]
    """(top, left) of the crop in the source picture as scaled for training."""
    target: tuple[int, int]
    """(height, width) that is trained or drawn."""


@dataclass(slots=True)
class BaseModel(ABC):
    """The parts of a checkpoint. Parts may be dropped (set to None) once they are not needed any more."""

    unet: UNet2DConditionModel | None
    vae: AutoencoderKL | None
    text_encoders: list[nn.Module]
    tokenizers: list[CLIPTokenizer]
    prediction_type: PredictionType = "epsilon"
    zero_terminal_snr: bool = False

    family: ClassVar[str]
    title: ClassVar[str]
    """What people call it."""
    kohya_version: ClassVar[str]
    """kohya's ss_base_model_version."""
    architecture: ClassVar[str]
    """modelspec.architecture of a LoRA."""
    implementation: ClassVar[str]
    """modelspec.implementation of a LoRA."""
    latent_scale: ClassVar[float]
    """Latents times this have about unit variance."""
    text_encoder_prefixes: ClassVar[tuple[str, ...]]
    """kohya's name prefix of each text encoder's LoRA modules."""
    unet_in_original_names: ClassVar[bool]
    """Whether kohya names this family's UNet modules by the original layout instead of diffusers'."""

    @abstractmethod
    def encode_each(self, texts: Sequence[str], clip_skip: int, reading: PromptReading) -> list[Conditioning]:
        """Prompts as ComfyUI encodes them, each with B = 1 and L = 77 for every chunk that it has.

        `clip_skip`: 1 = the last layer.
        """

    def encode_text(self, texts: Sequence[str], clip_skip: int, reading: PromptReading = AS_CAPTION) -> Conditioning:
        """The same prompts as one batch."""
        return Conditioning.join(self.encode_each(texts, clip_skip, reading))

    def added_conditions(self, conditioning: Conditioning, sizes: Sequence[PictureSize]) -> dict[str, Tensor]:
        """What the UNet takes beside the text states; nothing for families without."""
        return {}

    def predict(self, x_BCHW: Tensor, t_B: Tensor, conditioning: Conditioning, sizes: Sequence[PictureSize]) -> Tensor:
        """The UNet's output for noisy latents at timesteps 0..999, in the model's own prediction type."""
        return self.answer(x_BCHW, t_B, conditioning.states_BLD, self.added_conditions(conditioning, sizes))

    def answer(self, x_BCHW: Tensor, t_B: Tensor, states_BLD: Tensor, added: Mapping[str, Tensor]) -> Tensor:
        """The same from what is on the device already, in whatever format; computed in the UNet's.

        Numbers among `added` stay as they are: the UNet makes waves of them, in fp32, before it brings them into its
        format.
        """
        dtype = self.unet.conv_norm_out.weight.dtype
        return self.unet(x_BCHW.to(dtype), t_B, states_BLD.to(dtype), added_cond_kwargs=added or None).sample

    @property
    def pixels_per_latent(self) -> int:
        """How many pixels of a side one latent covers: 8 for every real checkpoint."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def decode(self, latents_BCHW: Tensor) -> Tensor:
        """Scaled latents -> pixels (B, 3, H, W) in 0..1."""
        pixels = self.vae.decode(latents_BCHW.to(self.vae.dtype) / self.latent_scale).sample
        return (pixels.float() / 2 + 0.5).clamp(0, 1)
