"""The loss at fixed noise and fixed timesteps: curves that only learning moves, on trained and on held-out pictures."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from ..dataset.types import DatasetImage
from ..families.base_model import PictureSize
from ..progress import StageReport
from . import objective
from .batches import stream_seed
from .plan.timesteps import TimestepPlan
from .troubles import give_memory_back
from .validation_report import ValidationReport
from .verdict import FEWEST_POINTS

# Shape suffixes: B rows of one picture, one a timestep, C latent channels, H and W latent height and width.

MOST_ROWS = 64
"""Noisy pictures that one measurement shows the UNet: the bound of its cost."""
_MOST_TIMESTEPS, _FEWEST_TIMESTEPS = 4, 2
_ROWS_OF_A_STEP = 3
"""As long as this many rows take here takes one picture of a step, which goes back through the model too."""
_MUCH, _LITTLE = 0.25, 0.1
"""Time of measuring against that of training."""

Picture = TypeVar("Picture", "ValidationPicture", DatasetImage)

Predict = Callable[[Tensor, Tensor, list[str], list[PictureSize]], Tensor]
"""The UNet as it is trained now: (noisy latents BCHW, timesteps B, captions, sizes) -> prediction BCHW."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ValidationPicture:
    """A picture that may be measured."""

    name: str
    """Short and without a path; what the report calls it."""
    fingerprint: str
    is_held_out: bool
    latent_CHW: Tensor
    """Mean of the VAE's distribution, scaled to about unit variance."""
    caption: str
    size: PictureSize
    mask_1HW: Tensor | None = None
    """Where errors count, 0 to 1, for a masked loss."""


class Validation:
    """What is measured, prepared once: latents, noise and timesteps, on the CPU.

    Each picture's noise is drawn from the seed and the picture's bytes, and its timesteps make a batch of their own:
    its loss depends on nothing but the picture and the weights.
    """

    def __init__(
        self,
        pictures: Sequence[ValidationPicture],
        schedule: DDPMScheduler,
        timesteps: TimestepPlan,
        *,
        seed: int,
        device: str,
    ) -> None:
        held_out = [picture for picture in pictures if picture.is_held_out]
        trained = [picture for picture in pictures if not picture.is_held_out]
        self.pictures = [*within_bounds(trained, len(held_out), seed), *held_out]
        self._schedule, self._device = schedule, device
        self._t_B = _middles(timesteps, _timesteps_each(len(self.pictures)))
        self._noises = [self._draw_noise(picture, seed) for picture in self.pictures]

    @property
    def rows(self) -> int:
        """Forward passes, of one noisy picture each, that a measurement takes."""
        return len(self.pictures) * len(self._t_B)

    def measure(
        self, predict: Predict, modules: Sequence[nn.Module], *, epoch: int, step: int
    ) -> Generator[StageReport, None, ValidationReport]:
        """Measure every picture; weights, the global RNG and training modes stay as they are.

        Args:
            predict: called once a picture, without gradients.
            modules: the UNet and the text encoders that `predict` runs, to be put into evaluation mode.
        """
        losses, total = {}, len(self.pictures)
        with _evaluating(modules):
            yield StageReport(stage="measuring", done=0, total=total)
            for picture, noise_BCHW in zip(self.pictures, self._noises, strict=True):
                losses[picture.name] = self._loss(picture, noise_BCHW, predict)
                yield StageReport(stage="measuring", done=len(losses), total=total)
        trained = {p.name: losses[p.name] for p in self.pictures if not p.is_held_out}
        held_out = {p.name: losses[p.name] for p in self.pictures if p.is_held_out}
        return ValidationReport(
            epoch=epoch,
            step=step,
            training_loss=fmean(trained.values()),
            held_out_loss=fmean(held_out.values()) if held_out else None,
            per_picture=trained,
            per_held_out=held_out,
        )

    def _loss(self, picture: ValidationPicture, noise_BCHW: Tensor, predict: Predict) -> float:
        """Over all timesteps at once; where memory runs out, which a step may have had enough of, one by one."""
        try:
            return self._mean_loss(picture, noise_BCHW, self._t_B, predict)
        except RuntimeError as problem:
            give_memory_back(problem)
        each = zip(noise_BCHW.split(1), self._t_B.split(1), strict=True)
        return fmean(self._mean_loss(picture, noise_1CHW, t_1, predict) for noise_1CHW, t_1 in each)

    @torch.no_grad()
    def _mean_loss(self, picture: ValidationPicture, noise_BCHW: Tensor, t_B: Tensor, predict: Predict) -> float:
        count = len(t_B)
        x_BCHW = picture.latent_CHW.expand(count, -1, -1, -1).to(self._device)
        noise_BCHW, t_B = noise_BCHW.to(self._device), t_B.to(self._device)
        noisy_BCHW = self._schedule.add_noise(x_BCHW, noise_BCHW, t_B)
        predicted_BCHW = predict(noisy_BCHW, t_B, [picture.caption] * count, [picture.size] * count)
        target_BCHW = objective.target(self._schedule, x_BCHW, noise_BCHW, t_B)
        mask_B1HW = None if picture.mask_1HW is None else picture.mask_1HW[None].to(self._device)
        return objective.loss_per_picture(predicted_BCHW, target_BCHW, mask_B1HW).mean().item()

    def _draw_noise(self, picture: ValidationPicture, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(stream_seed(seed, "validation", picture.fingerprint))
        return torch.randn((len(self._t_B), *picture.latent_CHW.shape), generator=generator)


def measuring_share(every: int, *, pictures: int, epochs: int, shown: int) -> float:
    """About how long measuring takes, as a share of what the steps of a run take.

    Args:
        every: After how many epochs it is measured; 0: never.
        pictures: Trained and held out.
        shown: Pictures that all steps show, repeats included.
    """
    measured = min(pictures, MOST_ROWS // _FEWEST_TIMESTEPS)
    rows = measured * _timesteps_each(measured) * (1 - -epochs // every) if every else 0
    return rows / _ROWS_OF_A_STEP / shown


def cost_remark(every: int, *, pictures: int, epochs: int, shown: int) -> str:
    """What to tell where measuring takes long, as epochs are short and many; else nothing. Arguments as there."""
    share = measuring_share(every, pictures=pictures, epochs=epochs, shown=shown)
    if share < _MUCH:
        return ""
    fewer = min(math.ceil(every * share / _LITTLE), epochs // (FEWEST_POINTS - 1))  # the base model's is one of them
    remedy = f"Set validate_every_epochs to {fewer}, or raise the repeats." if fewer > every else "Raise the repeats."
    return f"measuring takes about {share:.0%} as long as training, as epochs are of few steps. {remedy}"


def within_bounds(trained: Sequence[Picture], held_out: int, seed: int) -> list[Picture]:
    """As many trained pictures, drawn by the seed, as the bound leaves room for beside the held-out ones; in order."""
    room = MOST_ROWS // _FEWEST_TIMESTEPS - held_out
    drawn = sorted(trained, key=lambda picture: stream_seed(seed, "measured", picture.fingerprint))[:room]
    chosen = set(map(id, drawn))
    return [picture for picture in trained if id(picture) in chosen]


def _timesteps_each(pictures: int) -> int:
    return min(max(MOST_ROWS // pictures, _FEWEST_TIMESTEPS), _MOST_TIMESTEPS)


def _middles(plan: TimestepPlan, count: int) -> Tensor:
    """The middle of each of `count` equal parts of the trained range (B): 125, 375, 625 and 875 of the whole one."""
    span = plan.last - plan.first + 1
    return torch.tensor([plan.first + (2 * i + 1) * span // (2 * count) for i in range(count)])


@contextlib.contextmanager
def _evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Evaluation mode while the context lasts; then every submodule is in the mode it was in."""
    modes = {part: part.training for module in modules for part in module.modules()}
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
