"""Pictures and captions encoded once: latents through the VAE (kept on disk), text states through the encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from ..dataset.pictures import training_mask, training_pixels
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from ..families.base_model import BaseModel, PictureSize
from ..files import digest, write_atomic
from ..progress import StageReport


@dataclass(frozen=True, slots=True)
class Latent:
    """A picture as the VAE's distribution, unscaled; each visit draws from it anew."""

    mean_CHW: Tensor
    std_CHW: Tensor


Latents = dict[tuple[int, bool], Latent]
"""By index of the image in its dataset, and whether it is the mirrored one."""


def draw_latents(latents: Sequence[Latent], scale: float, generator: torch.Generator) -> Tensor:
    """Sample pictures of one bucket (B, C, H, W), scaled to about unit variance."""
    mean_BCHW = torch.stack([latent.mean_CHW for latent in latents])
    std_BCHW = torch.stack([latent.std_CHW for latent in latents])
    return (mean_BCHW + std_BCHW * torch.randn(mean_BCHW.shape, generator=generator)) * scale


def encode_pictures(
    model: BaseModel, base_identity: str, dataset: Dataset, cache: Path, device: str, into: Latents, *, flip: bool
) -> Iterator[StageReport]:
    """Add the latent of every image of the dataset to `into`, encoding only what `cache` lacks; with `flip` also of
    its mirror image, which is not the mirrored latent.

    Cache entries are keyed by the picture's bytes, its crop, bucket, background, flip and the base model (with its
    VAE), so an edited picture or a new crop never trains on old latents.
    """
    for done, image in enumerate(dataset.images, start=1):
        for mirrored in (False, True) if flip else (False,):
            into[done - 1, mirrored] = _latent(model, base_identity, image, cache, device, mirrored)
        yield StageReport(stage="encoding pictures", done=done, total=len(dataset.images))


def _latent(
    model: BaseModel, base_identity: str, image: DatasetImage, cache: Path, device: str, mirrored: bool
) -> Latent:
    path = cache / f"{_latent_key(image, base_identity, mirrored, model.vae.use_tiling)}.safetensors"
    latent = _read_latent(path)
    if latent is None:
        latent = _encode_picture(model, image, device, mirrored)
        write_atomic(path, safetensors.torch.save({"mean": latent.mean_CHW, "std": latent.std_CHW}))
    return latent


def _latent_key(image: DatasetImage, base_identity: str, mirrored: bool, in_tiles: bool) -> str:
    box = image.crop and [image.crop.left, image.crop.top, image.crop.right, image.crop.bottom]
    kind = "latent in tiles" if in_tiles else "latent"
    return digest(kind, 2, image.fingerprint, box, image.bucket, image.background, mirrored, base_identity)


def _read_latent(path: Path) -> Latent | None:
    """A cached latent; None where there is none or it is damaged, so that it is made again."""
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        return Latent(tensors["mean"], tensors["std"])
    except (OSError, SafetensorError, KeyError):
        return None


@torch.no_grad()
def _encode_picture(model: BaseModel, image: DatasetImage, device: str, mirrored: bool) -> Latent:
    picture = training_pixels(image)
    if mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels_HWC = torch.from_numpy(np.array(picture))
    pixels_BCHW = pixels_HWC.permute(2, 0, 1)[None].to(device, model.vae.dtype) / 127.5 - 1
    posterior = model.vae.encode(pixels_BCHW).latent_dist
    latent = Latent(posterior.mean[0].float().cpu(), posterior.std[0].float().cpu())
    if not torch.isfinite(latent.mean_CHW).all():
        raise TrainingError(f"{image.path.name} became NaN in the VAE. Check that this checkpoint's VAE is whole.")
    return latent


def latent_mask(image: DatasetImage, latent: Latent, mirrored: bool) -> Tensor:
    """How much each place of a picture's latent shows of its mask (1, H, W), 0 to 1; all ones without a mask."""
    height, width = latent.mean_CHW.shape[1:]
    mask = training_mask(image)
    if mask is None:
        return torch.ones(1, height, width)
    if mirrored:
        mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    small = mask.resize((width, height), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small, dtype=np.float32))[None] / 255


def picture_size(image: DatasetImage, mirrored: bool = False) -> PictureSize:
    """What SDXL is told: the true crop, in the frame of the source picture scaled as for training."""
    width, height = image.bucket
    if image.crop is None:
        return PictureSize((image.height, image.width), (0, 0), (height, width))
    start = image.width - image.crop.right if mirrored else image.crop.left
    # A padded crop begins outside the picture; SDXL never saw a crop below 0.
    top = max(0, round(image.crop.top * height / image.crop.height))
    left = max(0, round(start * width / image.crop.width))
    return PictureSize((image.height, image.width), (top, left), (height, width))
