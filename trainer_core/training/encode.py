"""Pictures and captions encoded once: latents through the VAE (kept on disk), text states through the encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ..dataset.pictures import training_pixels
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from ..families.base_model import BaseModel, Conditioning, PictureSize
from ..files import digest, write_atomic
from .reports import StageReport


@dataclass(frozen=True, slots=True)
class Latent:
    """A picture as the VAE's distribution, unscaled; each visit draws from it anew."""

    mean_CHW: Tensor
    std_CHW: Tensor


def draw_latents(latents: Sequence[Latent], scale: float, generator: torch.Generator) -> Tensor:
    """Sample pictures of one bucket (B, C, H, W), scaled to about unit variance."""
    mean_BCHW = torch.stack([latent.mean_CHW for latent in latents])
    std_BCHW = torch.stack([latent.std_CHW for latent in latents])
    return (mean_BCHW + std_BCHW * torch.randn(mean_BCHW.shape, generator=generator)) * scale


def encode_pictures(
    model: BaseModel, base_identity: str, dataset: Dataset, cache: Path, device: str, into: list[Latent]
) -> Iterator[StageReport]:
    """Append a Latent for every image of the dataset to `into`, encoding only what `cache` lacks.

    Cache entries are keyed by the picture's bytes, its crop, bucket and base model, so an edited picture or a new
    crop never trains on old latents.
    """
    for image in dataset.images:
        path = cache / f"{_latent_key(image, base_identity)}.safetensors"
        latent = _read_latent(path)
        if latent is None:
            latent = _encode_picture(model, image, device)
            tensors = {"mean": latent.mean_CHW, "std": latent.std_CHW}
            write_atomic(path, safetensors.torch.save(tensors))
        into.append(latent)
        yield StageReport(stage="encoding pictures", done=len(into), total=len(dataset.images))


def _latent_key(image: DatasetImage, base_identity: str) -> str:
    box = image.crop and [image.crop.left, image.crop.top, image.crop.right, image.crop.bottom]
    return digest("latent", 1, image.fingerprint, box, image.bucket, base_identity)


def _read_latent(path: Path) -> Latent | None:
    """A cached latent; None where there is none or it is damaged, so that it is made again."""
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        return Latent(tensors["mean"], tensors["std"])
    except (OSError, SafetensorError, KeyError):
        return None


@torch.no_grad()
def _encode_picture(model: BaseModel, image: DatasetImage, device: str) -> Latent:
    pixels_HWC = torch.from_numpy(np.array(training_pixels(image)))
    pixels_BCHW = pixels_HWC.permute(2, 0, 1)[None].to(device, model.vae.dtype) / 127.5 - 1
    posterior = model.vae.encode(pixels_BCHW).latent_dist
    latent = Latent(posterior.mean[0].float().cpu(), posterior.std[0].float().cpu())
    if not torch.isfinite(latent.mean_CHW).all():
        raise TrainingError(f"{image.path.name} became NaN in the VAE. Check that this checkpoint's VAE is whole.")
    return latent


@torch.no_grad()
def encode_captions(
    model: BaseModel, captions: Sequence[str], clip_skip: int, into: dict[str, Conditioning]
) -> Iterator[StageReport]:
    """Add the conditioning of every caption to `into`, on the CPU; for text encoders that are not trained."""
    captions = list(dict.fromkeys(captions))
    for start in range(0, len(captions), 16):
        batch = captions[start : start + 16]
        for caption, row in zip(batch, model.encode_text(batch, clip_skip).rows(), strict=True):
            into[caption] = row.to("cpu", row.states_BLD.dtype)
        yield StageReport(stage="encoding captions", done=len(into), total=len(captions))


def picture_size(image: DatasetImage) -> PictureSize:
    """What SDXL is told: the true crop, in the frame of the source picture scaled as for training."""
    width, height = image.bucket
    if image.crop is None:
        return PictureSize((image.height, image.width), (0, 0), (height, width))
    top = round(image.crop.top * height / image.crop.height)
    left = round(image.crop.left * width / image.crop.width)
    return PictureSize((image.height, image.width), (top, left), (height, width))
