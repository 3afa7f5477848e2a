"""What encoding a picture needs of memory, whole or in tiles, counted before the first one."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch._subclasses.fake_tensor import FakeTensorMode

from ..families.base_model import BaseModel
from ..families.loading import parts_of
from .memory import FIXED_OVERHEAD, bytes_of
from .memory_count import MemoryCount
from .stand_ins import stand_in_for

TILE = 512
"""Pixels of a tile's side; its edges overlap with those of the next by a quarter."""


def encode_in_tiles(vae: AutoencoderKL) -> None:
    """Let a VAE take larger pictures in tiles, which are blended where they overlap (diffusers' own tiling).

    Group norms see a tile and not the picture, so latents move a little; docs/speed.md says how far.
    """
    vae.enable_tiling()
    vae.tile_sample_min_size = TILE
    vae.tile_latent_min_size = TILE // 2 ** (len(vae.config.block_out_channels) - 1)


def encoding_memory(outline: BaseModel, width: int, height: int, *, tiles: bool, device: str) -> int:
    """Bytes in use while a picture of so many pixels goes through the VAE in fp32. `outline` is used up."""
    is_cpu = torch.device(device).type == "cpu"
    weights = sum(bytes_of(part) for part in parts_of(outline) if is_cpu and part is not outline.vae)
    with torch.inference_mode(False), torch.no_grad(), FakeTensorMode():
        stand_in_for(outline.vae, torch.float32)
        if tiles:
            encode_in_tiles(outline.vae)
        count = MemoryCount()
        with count:
            outline.vae.encode(torch.zeros(1, 3, height, width))
    return weights + bytes_of(outline.vae) + count.peak + FIXED_OVERHEAD.get(torch.device(device).type, 0)
