"""What encoding a picture needs of memory, whole or in tiles, counted before the first one."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch._subclasses.fake_tensor import FakeTensorMode

from ..families.base_model import BaseModel
from ..families.cpu.layers import bytes_of_transforms
from ..families.loading import parts_of
from ..families.without_storage import WithoutStorage
from .device_layers import has_cpu_layers
from .memory import FIXED_OVERHEAD, bytes_of
from .memory_choice import free_memory
from .memory_count import MemoryCount
from .stand_ins import stand_in_for

TILE = 512
"""Pixels of a tile's side; its edges overlap with those of the next by a quarter."""
_MOST_AT_ONCE = 8
_SHARE_TAKEN = 0.5
"""Of the free memory: what cuDNN takes for itself grows with the pictures, and no tensor shows it."""


def encode_in_tiles(vae: AutoencoderKL) -> None:
    """Let a VAE take larger pictures in tiles, which are blended where they overlap (diffusers' own tiling).

    Group norms see a tile and not the picture, so latents move a little; docs/speed.md says how far.
    """
    vae.enable_tiling()
    vae.tile_sample_min_size = TILE
    vae.tile_latent_min_size = TILE // 2 ** (len(vae.config.block_out_channels) - 1)


def encoding_memory(outline: BaseModel, width: int, height: int, *, tiles: bool, device: str, precision: str) -> int:
    """Bytes in use while a picture of so many pixels goes through the VAE in fp32. `outline` is used up.

    Args:
        precision: What the run computes in.
    """
    is_cpu = torch.device(device).type == "cpu"
    weights = sum(bytes_of(part) for part in parts_of(outline) if is_cpu and part is not outline.vae)
    if has_cpu_layers(device, precision):
        weights += bytes_of_transforms(outline.vae)
    peak = _peak(outline.vae, width, height, tiles=tiles)
    return weights + bytes_of(outline.vae) + peak + FIXED_OVERHEAD.get(torch.device(device).type, 0)


def pictures_at_once(vae: AutoencoderKL, width: int, height: int, *, device: str) -> int:
    """How many pictures of a size the VAE, which is on the device, takes in one go: as many as fit into half of the
    free memory, at most 8.

    One on a CPU, where more are no faster (docs/speed.md); and one where pictures go through in tiles, as memory is
    short then, or where nobody knows how much is free.
    """
    free = free_memory(device)
    if torch.device(device).type == "cpu" or vae.use_tiling or free is None:
        return 1
    with WithoutStorage():
        outline = AutoencoderKL.from_config(vae.config)
    return max(1, min(_MOST_AT_ONCE, int(free * _SHARE_TAKEN / _peak(outline, width, height, tiles=False))))


def _peak(outline: AutoencoderKL, width: int, height: int, *, tiles: bool) -> int:
    """Bytes that a picture takes beside the weights, in fp32. `outline` is used up."""
    with torch.inference_mode(False), torch.no_grad(), FakeTensorMode():
        stand_in_for(outline, torch.float32)
        if tiles:
            encode_in_tiles(outline)
        count = MemoryCount()
        with count:
            outline.encode(torch.zeros(1, 3, height, width))
    return count.peak
