"""Pictures and captions encoded once: latents through the VAE (kept on disk), text states through the encoders."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..ahead import prepare_ahead
from ..dataset.pictures import training_pixels
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from ..families.base_model import BaseModel, PictureSize
from ..families.sending import send
from ..files import digest
from ..progress import StageReport
from .encoding_memory import pictures_at_once
from .latents import Latent, Latents, Visit


def encode_pictures(
    model: BaseModel, base_identity: str, dataset: Dataset, into: Latents, device: str, *, flip: bool
) -> Iterator[StageReport]:
    """Add the latent of every image of the dataset to `into`, encoding only what its folder lacks; with `flip` also of
    its mirror image, which is not the mirrored latent. Closed between two batches, it leaves what it has encoded.

    Files are keyed by the picture's bytes, its crop, bucket, background, flip and the base model (with its
    VAE), so an edited picture or a new crop never trains on old latents. On a GPU the last bits of a latent depend on
    the pictures encoded with it; what is in the folder stays as it is (for two months after the last run that took it),
    so a run goes on with what it began with.

    Raises:
        TrainingError: a picture was changed or broke since the dataset was read, or the VAE makes NaN of it.
    """
    ways = (False, True) if flip else (False,)
    lacking: dict[str, _Lacking] = {}
    done, total = 0, len(dataset.images)
    for index, image in enumerate(dataset.images):
        for mirrored in ways:
            key = _latent_key(image, base_identity, mirrored, model.vae.use_tiling)
            if key not in lacking and into.find((index, mirrored), key):
                done += 1
            else:
                lacking.setdefault(key, _Lacking(key, image, mirrored, [])).visits.append((index, mirrored))
        yield StageReport(stage="encoding pictures", done=done // len(ways), total=total)
    for batch, pixels in prepare_ahead(_batches(lacking.values(), model, device), _pixels):
        for one, latent in zip(batch, _encode(model, batch, pixels, device), strict=True):
            into.keep(one.visits, one.key, latent)
            done += len(one.visits)
        yield StageReport(stage="encoding pictures", done=done // len(ways), total=total)


@dataclass(frozen=True, slots=True)
class _Lacking:
    """A latent that is yet to be made."""

    key: str
    """What its file will be called."""
    image: DatasetImage
    is_mirrored: bool
    visits: list[Visit]
    """All that it serves: there may be copies of a picture."""


def _latent_key(image: DatasetImage, base_identity: str, mirrored: bool, in_tiles: bool) -> str:
    box = image.crop and [image.crop.left, image.crop.top, image.crop.right, image.crop.bottom]
    kind = "latent in tiles" if in_tiles else "latent"
    return digest(kind, 2, image.fingerprint, box, image.bucket, image.background, mirrored, base_identity)


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
