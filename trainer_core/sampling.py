"""Prompts -> pictures: a LoRA tried out on its base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)
from PIL import Image
from torch import Tensor

from .errors import TrainingError
from .families.base_model import BaseModel, Conditioning, PictureSize
from .families.loading import load_base_model, parts_of
from .lora.adapters import Adapters
from .lora.file import LoraFile, read_lora
from .lora.names import targets_of
from .training.objective import noise_schedule
from .training.precision import FORMATS, autocast, resolve_precision


def _karras(settings: dict) -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler.from_config(settings, use_karras_sigmas=True)


SAMPLERS: dict[str, Callable[[dict], SchedulerMixin]] = {
    "euler": EulerDiscreteScheduler.from_config,
    "euler_ancestral": EulerAncestralDiscreteScheduler.from_config,
    "dpmpp_2m": DPMSolverMultistepScheduler.from_config,
    "dpmpp_2m_karras": _karras,
    "ddim": DDIMScheduler.from_config,
    "uni_pc": UniPCMultistepScheduler.from_config,
}
"""Samplers by ComfyUI's names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRequest:
    """One picture to draw."""

    prompt: str
    negative: str = ""
    width: int = 512
    """Pixels, a multiple of 8."""
    height: int = 512
    steps: int = 20
    cfg: float = 7.0
    """Guidance scale; 1 = none, and the negative prompt does nothing."""
    sampler: str = "euler"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise TrainingError(f"there is no sampler {self.sampler!r}. Choose one of: {', '.join(SAMPLERS)}.")
        for name, side in (("width", self.width), ("height", self.height)):
            if not 16 <= side <= 4096 or side % 8:
                raise TrainingError(f"the {name} must be a multiple of 8 between 16 and 4096, got {side}.")
        if not 1 <= self.steps <= 1000:
            raise TrainingError(f"steps must be between 1 and 1000, got {self.steps}. 20 is a good start.")


def preview(
    lora_file: Path | None,
    base_model: Path,
    requests: Sequence[PictureRequest],
    *,
    strength: float = 1.0,
    clip_skip: int = 1,
    device: str = "cpu",
    precision: str = "auto",
    tokenizer_folders: Sequence[Path] = (),
) -> Iterator[Image.Image]:
    """Draw each request with the LoRA at `strength` (or the bare base model), one picture at a time.

    Raises:
        TrainingError: the base model or the LoRA cannot be used, or a picture came out as NaN.
    """
    precision = resolve_precision(precision, device)
    lora = read_lora(lora_file) if lora_file else None
    model = load_base_model(base_model, FORMATS[precision], tokenizer_folders)
    if lora and strength:
        apply_lora(model, lora, strength)
    for part in parts_of(model):
        part.to(device)
    for request in requests:
        yield draw_picture(model, request, clip_skip=clip_skip, precision=precision, device=device)


def apply_lora(model: BaseModel, lora: LoraFile, strength: float = 1.0) -> list[Adapters]:
    """Put a LoRA on the parts of a model that it was trained for."""
    found = []
    for module, targets in targets_of(model):
        if f"{targets[0].name}.lora_down.weight" in lora.tensors:
            adapters = Adapters(module, targets, lora.rank(), lora.alpha())
            adapters.load(lora.tensors)
            adapters.scale(strength)
            found.append(adapters)
    if not found:
        raise TrainingError("the LoRA fits no part of this base model. Choose the family it was trained on.")
    return found


@torch.no_grad()
def draw_picture(
    model: BaseModel, request: PictureRequest, *, clip_skip: int, precision: str, device: str
) -> Image.Image:
    """One picture by classifier-free guidance (Ho & Salimans, arXiv:2207.12598). Its noise is drawn on the CPU."""
    # From the very last timestep to the first, as ComfyUI's "normal" scheduler; zero-SNR models need the last one.
    settings = dict(noise_schedule(model).config) | {"timestep_spacing": "linspace"}
    scheduler = SAMPLERS[request.sampler](settings)
    scheduler.set_timesteps(request.steps, device=device)
    generator = torch.Generator().manual_seed(request.seed)
    factor = model.pixels_per_latent
    shape = (1, model.unet.config.in_channels, request.height // factor, request.width // factor)
    x_BCHW = torch.randn(shape, generator=generator).to(device) * scheduler.init_noise_sigma
    with autocast(precision, device):
        prompts = [request.negative, request.prompt] if request.cfg != 1 else [request.prompt]
        conditioning = model.encode_text(prompts, clip_skip)
        for t in scheduler.timesteps:
            prediction = _guided(model, scheduler.scale_model_input(x_BCHW, t), t, conditioning, request)
            x_BCHW = scheduler.step(prediction.float(), t, x_BCHW, **_noise_source(scheduler, generator)).prev_sample
    pixels_BCHW = model.decode(x_BCHW)
    if not torch.isfinite(x_BCHW).all():
        raise TrainingError("the picture came out as NaN. Use bf16 or fp32, or check the LoRA's strength.")
    return Image.fromarray((pixels_BCHW[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy())


def _guided(model: BaseModel, x_BCHW: Tensor, t: Tensor, conditioning: Conditioning, request: PictureRequest) -> Tensor:
    count = len(conditioning.states_BLD)
    size = PictureSize((request.height, request.width), (0, 0), (request.height, request.width))
    answers = model.predict(x_BCHW.expand(count, -1, -1, -1), t.expand(count), conditioning, [size] * count)
    if count == 1:
        return answers
    without, with_prompt = answers.float().chunk(2)
    return without + request.cfg * (with_prompt - without)


def _noise_source(scheduler: SchedulerMixin, generator: torch.Generator) -> dict[str, torch.Generator]:
    """Samplers that add noise take it from the picture's own generator; the others take no such argument."""
    takes_noise = isinstance(scheduler, (EulerAncestralDiscreteScheduler, DDIMScheduler, DPMSolverMultistepScheduler))
    return {"generator": generator} if takes_noise else {}
