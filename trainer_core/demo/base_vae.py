"""The demo base's VAE: 32x32 pictures <-> 8x8 latents of four channels.

It also sees decorated scenes in random colours, so that it can draw things the UNet never saw.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from . import world
from .base_steps import count_steps, log_loss

PICTURE_SIZE = 32
VAE_SCALE = 0.18215
"""SD1.5's latent scale: latents times this have unit variance. `normalise_latents` makes it true here."""

VAE_CONFIG = dict(
    # 32 norm groups and no fewer than 64 channels: a group of one channel would wipe out how bright it is.
    block_out_channels=(64, 64, 96),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    layers_per_block=1,
    latent_channels=4,
)


def train_vae(work: Path, steps: int, batch: int, learning_rate: float) -> None:
    """Train it from where WORK/vae.pt stopped, and write WORK/vae/."""
    torch.manual_seed(0)
    vae = AutoencoderKL(**VAE_CONFIG)
    average = torch.optim.swa_utils.AveragedModel(vae, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.AdamW(vae.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    for step in count_steps(work / "vae.pt", steps, learning_rate, vae, average, optimizer):
        x_BCHW = _vae_batch(random.Random(step), batch)
        posterior = vae.encode(x_BCHW).latent_dist
        y_BCHW = vae.decode(posterior.sample()).sample
        loss = (x_BCHW - y_BCHW).abs().mean() + F.mse_loss(y_BCHW, x_BCHW) + 0.25 * _edge_loss(x_BCHW, y_BCHW)
        # Three of the four channels are told to be a small copy of the picture: left alone, so small a VAE takes
        # long to find that colours matter, and the UNet has an easier time with latents that look like pictures.
        thumbnail_BCHW = F.avg_pool2d(x_BCHW, 4)
        copying = F.mse_loss(posterior.mean[:, :3], thumbnail_BCHW)
        (loss + copying + 1e-4 * posterior.kl().mean() / posterior.mean[0].numel()).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(vae)
        log_loss("vae", step, loss)
    normalise_latents(average.module)
    average.module.save_pretrained(work / "vae")


def _edge_loss(x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
    """L1 between the finite differences of two pictures: keeps borders sharp."""
    dx = (x_BCHW.diff(dim=3) - y_BCHW.diff(dim=3)).abs().mean()
    dy = (x_BCHW.diff(dim=2) - y_BCHW.diff(dim=2)).abs().mean()
    return dx + dy


@torch.no_grad()
def normalise_latents(vae) -> None:
    """Fold a per-channel shift and scale into the 1x1 convs around the latent: mean 0, std 1 / VAE_SCALE."""
    rng = random.Random(1)
    latents = torch.cat([vae.encode(_vae_batch(rng, 64)).latent_dist.mean for _ in range(4)])
    mean_C, std_C = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    gain_C = 1 / (VAE_SCALE * std_C)
    channels = len(mean_C)
    into, out = vae.quant_conv, vae.post_quant_conv
    into.weight[:channels] *= gain_C[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean_C) * gain_C
    into.bias[channels:] += 2 * gain_C.log()  # the log-variance half
    out.bias += (out.weight[:, :, 0, 0] * mean_C).sum(1)
    out.weight /= gain_C[None, :, None, None]


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """PIL pictures -> float tensor (B, 3, H, W) in -1..1."""
    pixels = np.stack([np.asarray(image) for image in images])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def _vae_batch(rng: random.Random, size: int) -> Tensor:
    half = size // 2
    plain = [world.draw(world.random_scene(rng), PICTURE_SIZE) for _ in range(size - half)]
    return to_tensor(plain + [_decorated_picture(rng) for _ in range(half)])


def _decorated_picture(rng: random.Random) -> Image.Image:
    """A world picture in random colours with marks on it: what the VAE must be able to draw, beyond the world."""

    def tint():
        return tuple(rng.randrange(10, 250) for _ in range(3))

    scene = world.random_scene(rng)
    world.COLOURS["_tint"], world.BACKGROUNDS["_tint"] = tint(), tint()
    try:
        changes = {k: "_tint" for k in ("colour", "background") if rng.random() < 0.6}
        scene = dataclasses.replace(scene, is_mascot=rng.random() < 0.15, **changes)
        image = world.draw(scene, PICTURE_SIZE * 3)
    finally:
        del world.COLOURS["_tint"], world.BACKGROUNDS["_tint"]
    pen, side = ImageDraw.Draw(image), PICTURE_SIZE * 3
    for _ in range(rng.randrange(0, 4)):
        x, y, r = rng.uniform(0.2, 0.8) * side, rng.uniform(0.2, 0.8) * side, rng.uniform(0.03, 0.12) * side
        shape = rng.choice((world._draw_ball, world._draw_box, world._draw_star, world._draw_tent))
        shape(pen, x, y, r, tint())
    return image.resize((PICTURE_SIZE, PICTURE_SIZE))
