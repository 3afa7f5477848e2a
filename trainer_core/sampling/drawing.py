"""One picture by classifier-free guidance (Ho & Salimans, arXiv:2207.12598), from prompt to pixels."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator

import torch
from PIL import Image
from torch import Tensor

from ..errors import TrainingError
from ..families.base_model import BaseModel, Conditioning, PictureSize
from ..families.prompts import AS_PROMPT
from ..picture_request import PictureRequest
from ..progress import finished
from ..training.objective import noise_schedule
from ..training.precision import autocast
from .own_samplers import Predict
from .samplers import SAMPLERS

# Shape suffixes: B batch, C channels, H and W height and width.

_TILE, _SMALL_TILE = 1536, 512
"""Pixels. Larger pictures are decoded in tiles of this side; of the small one where memory did not do."""


@torch.no_grad()
def encode_request(
    model: BaseModel, request: PictureRequest, *, clip_skip: int, precision: str, device: str
) -> Conditioning:
    """Negative prompt and prompt as one batch, read as ComfyUI reads prompts; the prompt alone where cfg is 1."""
    prompts = [request.negative, request.prompt] if request.cfg != 1 else [request.prompt]
    with autocast(precision, device):
        return model.encode_text(prompts, clip_skip, AS_PROMPT)


def draw_picture(
    model: BaseModel, request: PictureRequest, *, clip_skip: int, precision: str, device: str
) -> Image.Image:
    """One picture from a model that is on `device`.

    Raises:
        TrainingError: the picture came out as NaN.
    """
    conditioning = encode_request(model, request, clip_skip=clip_skip, precision=precision, device=device)
    return finished(draw_in_steps(model, request, conditioning, device=device))


def draw_in_steps(
    model: BaseModel, request: PictureRequest, conditioning: Conditioning, *, device: str
) -> Generator[int, None, Image.Image]:
    """Draw one picture, yielding the number of sampler steps done after each; the generator returns the picture.

    Needs the UNet on `device`, and the VAE anywhere: it is moved for decoding, and back. Between two steps gradients
    are as the caller has them. All noise is drawn on the CPU from the request's seed.

    Raises:
        TrainingError: the picture came out as NaN.
    """
    generator = torch.Generator().manual_seed(request.seed)
    factor = model.pixels_per_latent
    shape = (1, model.unet.config.in_channels, request.height // factor, request.width // factor)
    white_BCHW = torch.randn(shape, generator=generator).to(device)
    conditioning = conditioning.to(device, conditioning.states_BLD.dtype)
    predict = _guided(model, request, conditioning)
    steps = SAMPLERS[request.sampler](predict, noise_schedule(model), white_BCHW, request.steps, generator)
    for done, latest_BCHW in enumerate(steps, start=1):
        x_BCHW = latest_BCHW
        yield done
    if not torch.isfinite(x_BCHW).all():
        raise TrainingError("the picture came out as NaN. Use bf16 or fp32, or check the LoRA's strength.")
    pixels_BCHW = _decode(model, x_BCHW)
    if not torch.isfinite(pixels_BCHW).all():
        raise TrainingError("the VAE made NaN of the picture. Use a base model with a sound VAE.")
    return Image.fromarray((pixels_BCHW[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy())


def _guided(model: BaseModel, request: PictureRequest, conditioning: Conditioning) -> Predict:
    """The UNet's answer away from the negative prompt: both prompts in one call."""
    count = len(conditioning.states_BLD)
    side = (request.height, request.width)
    sizes = [PictureSize(side, (0, 0), side)] * count

    @torch.no_grad()
    def predict(x_BCHW: Tensor, t: Tensor) -> Tensor:
        answers = model.predict(x_BCHW.expand(count, -1, -1, -1), t.expand(count), conditioning, sizes).float()
        if count == 1:
            return answers
        without, with_prompt = answers.chunk(2)
        return without + request.cfg * (with_prompt - without)

    return predict


def _decode(model: BaseModel, x_BCHW: Tensor) -> Tensor:
    """Latents -> pixels in 0..1, in tiles where the picture is large or memory small."""
    with _vae_on(model, x_BCHW.device):
        try:
            return _decode_in_tiles(model, x_BCHW, _TILE)
        except torch.cuda.OutOfMemoryError:
            pass  # once the error, and with it all that it holds on to, is gone
        torch.cuda.empty_cache()
        return _decode_in_tiles(model, x_BCHW, _SMALL_TILE)


def _decode_in_tiles(model: BaseModel, x_BCHW: Tensor, tile: int) -> Tensor:
    """Tiles overlap by a quarter and are blended; a picture that one tile holds is decoded whole."""
    vae = model.vae
    vae.tile_sample_min_size, vae.tile_latent_min_size = tile, tile // model.pixels_per_latent
    vae.enable_tiling()
    try:
        return model.decode(x_BCHW)
    finally:
        vae.disable_tiling()


@contextlib.contextmanager
def _vae_on(model: BaseModel, device: torch.device) -> Iterator[None]:
    home = model.vae.device
    model.vae.to(device)
    try:
        yield
    finally:
        model.vae.to(home)
