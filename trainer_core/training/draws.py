"""What the pictures of a step are shown as: latents, noise, timesteps, and how much each one's loss counts.

All of it depends on the plan's seed and the place of the batch in the run alone, so a resumed run draws the same, and
the next step's can be drawn by a thread while one is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from ..dataset.types import Dataset
from ..devices import is_gpu
from ..families.base_model import PictureSize
from ..families.sending import send
from ..lora.dropout import seed_numbers
from . import objective
from .amount import Step
from .batches import draw_flips, step_generator, stream_seed
from .encode import picture_size
from .latents import Latents, Visit, draw_latents
from .noise import perturb_noise, shape_noise
from .plan import TrainingPlan
from .shares import Portion
from .timesteps import draw_timesteps
from .weighting import timestep_weights

# Shape suffixes: B batch, C latent channels, H and W latent height and width, T timesteps.


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Pictures as the UNet sees them, and what its answer is held against."""

    x_BCHW: Tensor
    noise_BCHW: Tensor
    """The target's."""
    seen_BCHW: Tensor
    """The noise as it is added."""
    t_B: Tensor
    weights_B: Tensor
    """How much each picture's loss counts."""
    bends_B: Tensor
    """Where huber and smooth_l1 bend."""
    mask_B1HW: Tensor | None
    """Where errors count, 0 to 255; None: everywhere."""
    drops_B3: Tensor | None
    """What decides what adapters leave out of each (lora/dropout.py); None: nothing."""
    pictures: Tensor
    """Of the whole step, as its loss is their mean; no dimensions."""

    def __getitem__(self, rows: slice) -> Shown:
        """Some of the pictures."""
        cut = {name: tensor[rows] for name, tensor in self.tensors().items() if tensor.dim()}
        return replace(self, **cut)

    def sent_to(self, device: torch.device | str) -> Shown:
        return replace(self, **{name: send(tensor, device) for name, tensor in self.tensors().items()})

    def pinned(self) -> Shown:
        """The same where a GPU can fetch it without being waited for."""
        return replace(self, **{name: tensor.pin_memory() for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """As many pictures of a batch as go through the model together."""

    batch: tuple[int, ...]
    """The whole batch, indices into dataset.images."""
    place: int
    """Of the batch in the whole run."""
    rows: slice
    """Which of its pictures these are."""
    shown: Shown
    sizes: tuple[PictureSize, ...]


def dropout_seed(plan: TrainingPlan, place: int) -> int:
    """Of the batch at a place in the run."""
    return stream_seed(plan.seed, "dropout", place)


class StepDraws:
    """Draws the visits of a run, on the CPU, so that every device gets the same."""

    def __init__(
        self,
        dataset: Dataset,
        plan: TrainingPlan,
        schedule: DDPMScheduler,
        *,
        latents: Latents,
        latent_scale: float,
        masks: dict[Visit, Tensor],
        device: str,
    ) -> None:
        """`masks`: of every visit, or none at all."""
        self._dataset, self._plan, self._latents, self._masks = dataset, plan, latents, masks
        self._scale, self._is_on_gpu = latent_scale, is_gpu(device)
        self._weights_T = timestep_weights(plan.weighting, schedule)
        self._bends_T = objective.huber_thresholds(plan.loss, schedule)

    def parts(self, step: Step, portions: Sequence[Portion], count: int) -> list[Part]:
        """What a process computes of a step, each batch of it in `count` parts or fewer.

        A batch is drawn as a whole, so that its parts see what they would see together.
        """
        pictures, found = sum(map(len, step.batches)), []
        for portion in portions:
            shown, sizes = self._batch(portion, pictures)
            start, end = portion.rows.start, portion.rows.stop
            most = -(-(end - start) // count)
            for first in range(start, end, most):
                rows = slice(first, min(first + most, end))
                part = shown[rows].pinned() if self._is_on_gpu else shown[rows]
                found.append(
                    Part(batch=portion.batch, place=portion.place, rows=rows, shown=part, sizes=tuple(sizes[rows]))
                )
        return found

    def _batch(self, portion: Portion, pictures: int) -> tuple[Shown, list[PictureSize]]:
        plan, place = self._plan, portion.place
        images = [self._dataset.images[index] for index in portion.batch]
        flips = draw_flips(len(images), plan.seed, place, flip=plan.augment.flip)
        visits = list(zip(portion.batch, flips, strict=True))
        generator = step_generator(plan.seed, place)
        x_BCHW = draw_latents([self._latents[visit] for visit in visits], self._scale, generator)
        white_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        t_B = draw_timesteps(len(visits), plan.timesteps, generator)
        noise_BCHW = shape_noise(white_BCHW, plan.noise, plan.seed, place)
        prior = plan.loss.prior_loss_weight
        counts_B = torch.tensor([prior if image.is_regularisation else 1.0 for image in images])
        shown = Shown(
            x_BCHW=x_BCHW,
            noise_BCHW=noise_BCHW,
            seen_BCHW=perturb_noise(noise_BCHW, plan.noise, plan.seed, place),
            t_B=t_B,
            weights_B=counts_B * self._weights_T[t_B],
            bends_B=self._bends_T[t_B],
            mask_B1HW=torch.stack([self._masks[visit] for visit in visits]) if self._masks else None,
            drops_B3=seed_numbers(dropout_seed(plan, place), len(visits)) if plan.adapter.drops_out else None,
            pictures=torch.tensor(float(pictures)),
        )
        return shown, [picture_size(image, flip) for image, flip in zip(images, flips, strict=True)]
