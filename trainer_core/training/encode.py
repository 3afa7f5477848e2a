"""Pictures and captions encoded once: latents through the VAE (kept on disk), text states through the encoders."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from ..ahead import prepare_ahead
from ..dataset.pictures import training_mask, training_pixels
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from ..families.base_model import BaseModel, PictureSize
from ..families.sending import send
from ..files import digest, write_atomic
from ..progress import StageReport
from .encoding_memory import pictures_at_once


@dataclass(frozen=True, slots=True)
class Latent:
    """A picture as the VAE's distribution, unscaled; each visit draws from it anew."""

    mean_CHW: Tensor
    std_CHW: Tensor


Visit = tuple[int, bool]
"""An image by its index in the dataset, and whether it is mirrored."""
Latents = dict[Visit, Latent]


def draw_latents(latents: Sequence[Latent], scale: float, generator: torch.Generator) -> Tensor:
    """Sample pictures of one bucket (B, C, H, W), scaled to about unit variance."""
    mean_BCHW = torch.stack([latent.mean_CHW for latent in latents])
    std_BCHW = torch.stack([latent.std_CHW for latent in latents])
    return (mean_BCHW + std_BCHW * torch.randn(mean_BCHW.shape, generator=generator)) * scale


def encode_pictures(
    model: BaseModel, base_identity: str, dataset: Dataset, cache: Path, device: str, into: Latents, *, flip: bool
) -> Iterator[StageReport]:
    """Add the latent of every image of the dataset to `into`, encoding only what `cache` lacks; with `flip` also of
    its mirror image, which is not the mirrored latent. Closed between two batches, it leaves what it has encoded.

    Cache entries are keyed by the picture's bytes, its crop, bucket, background, flip and the base model (with its
    VAE), so an edited picture or a new crop never trains on old latents. On a GPU the last bits of a latent depend on
    the pictures encoded with it; what is in the cache stays as it is, so a run goes on with what it began with.

    Raises:
        TrainingError: a picture was changed or broke since the dataset was read, or the VAE makes NaN of it.
    """
    ways = (False, True) if flip else (False,)
    lacking: dict[Path, _Lacking] = {}
    done, total = 0, len(dataset.images)
    for index, image in enumerate(dataset.images):
        for mirrored in ways:
            path = cache / f"{_latent_key(image, base_identity, mirrored, model.vae.use_tiling)}.safetensors"
            latent = None if path in lacking else _read_latent(path)
            if latent is None:
                lacking.setdefault(path, _Lacking(path, image, mirrored, [])).visits.append((index, mirrored))
            else:
                into[index, mirrored] = latent
                done += 1
        yield StageReport(stage="encoding pictures", done=done // len(ways), total=total)
    for batch, pixels in prepare_ahead(_batches(lacking.values(), model, device), _pixels):
        for one, latent in zip(batch, _encode(model, batch, pixels, device), strict=True):
            write_atomic(one.path, safetensors.torch.save({"mean": latent.mean_CHW, "std": latent.std_CHW}))
            into.update(dict.fromkeys(one.visits, latent))
            done += len(one.visits)
        yield StageReport(stage="encoding pictures", done=done // len(ways), total=total)


@dataclass(frozen=True, slots=True)
class _Lacking:
    """A latent that is not in the cache."""

    path: Path
    """Where it will be."""
    image: DatasetImage
    is_mirrored: bool
    visits: list[Visit]
    """All that it serves: there may be copies of a picture."""


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


def _batches(lacking: Collection[_Lacking], model: BaseModel, device: str) -> list[list[_Lacking]]:
    """Pictures of one size together, in order."""
    if not lacking:
        return []
    by_size: dict[tuple[int, int], list[_Lacking]] = {}
    for one in lacking:
        by_size.setdefault(one.image.bucket, []).append(one)
    most = pictures_at_once(model.vae, *max(by_size, key=math.prod), device=device)
    return [same[start : start + most] for same in by_size.values() for start in range(0, len(same), most)]


def _pixels(one: _Lacking) -> Tensor:
    """(H, W, 3), 0 to 255, uint8."""
    picture = training_pixels(one.image)
    if one.is_mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.array(picture))


@torch.no_grad()
def _encode(model: BaseModel, batch: Sequence[_Lacking], pixels: Sequence[Tensor], device: str) -> list[Latent]:
    pixels_BCHW = send(torch.stack(list(pixels)), device).permute(0, 3, 1, 2).contiguous()
    pixels_BCHW = pixels_BCHW.to(model.vae.dtype) / 127.5 - 1
    posterior = model.vae.encode(pixels_BCHW).latent_dist
    both_B2CHW = torch.stack([posterior.mean, posterior.std], dim=1).float().cpu().contiguous()
    latents = [Latent(*both_2CHW) for both_2CHW in both_B2CHW]
    for one, latent in zip(batch, latents, strict=True):
        if not torch.isfinite(latent.mean_CHW).all():
            raise TrainingError(
                f"{one.image.path.name} became NaN in the VAE. Check that this checkpoint's VAE is whole."
            )
    return latents


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
