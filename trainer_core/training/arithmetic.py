"""The arithmetic of a run, before it starts: how many steps, how many files, how large."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..dataset.types import Dataset
from ..dataset.wording import many
from ..families.base_model import BaseModel
from ..lora.file import lora_bytes
from ..lora.names import targets_of
from .batches import steps_per_epoch
from .plan import TrainingPlan
from .precision import FORMATS


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSize:
    """What a plan makes of a dataset."""

    pictures: int
    repeats: tuple[int, ...]
    """Every number of repeats that occurs, ascending."""
    samples: int
    """Training pictures times their repeats: what one epoch shows, without regularisation pictures."""
    regularised: bool
    epochs: int
    batch_size: int
    steps: int
    """Optimizer steps of the whole run, short batches included."""
    saves: int
    bytes_each: int | None
    """Size of one saved LoRA; None where the base model is not known yet."""

    def line(self) -> str:
        """ "20 pictures x 10 repeats x 10 epochs / batch 2 = 1,000 steps, 5 saves, about 36 MB each"."""
        pictures = f"{many(self.pictures, 'picture')} x {_repeats(self.repeats)}"
        if len(self.repeats) > 1:
            pictures += f" ({self.samples:,} samples)"
        if self.regularised:
            pictures = f"({pictures} + as many regularisation samples)"
        even = self._even_steps()
        steps = many(int(even), "step") if even == int(even) else f"{even:,.1f} steps"
        if self.steps != even:
            steps += f" ({self.steps:,} as some batches are not full)"
        size = f", about {round(self.bytes_each / 2**20):,} MB each" if self.bytes_each else ""
        work = f"{pictures} x {many(self.epochs, 'epoch')} / batch {self.batch_size}"
        return f"{work} = {steps}, {many(self.saves, 'save')}{size}"

    def _even_steps(self) -> float:
        return self.samples * (2 if self.regularised else 1) * self.epochs / self.batch_size


def run_size(dataset: Dataset, plan: TrainingPlan, outline: BaseModel | None = None) -> RunSize:
    """The size of a run on a cropped dataset; with the base model's outline also that of its files."""
    every = plan.saving.every_epochs
    return RunSize(
        pictures=len(dataset.training_images),
        repeats=tuple(sorted({image.repeats for image in dataset.training_images})),
        samples=sum(image.repeats for image in dataset.training_images),
        regularised=bool(dataset.regularisation_images),
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        steps=sum(steps_per_epoch(dataset, plan)),
        saves=-(-plan.epochs // every) if every else 1,
        bytes_each=lora_size(outline, plan) if outline else None,
    )


def lora_size(outline: BaseModel, plan: TrainingPlan) -> int:
    """Bytes of a LoRA file without its metadata, from a base model's shapes alone."""
    unet, *encoders = targets_of(outline)
    rates = plan.optimizer
    parts = ([unet] if rates.rate_of_unet else []) + (encoders if rates.rate_of_text_encoder else [])
    width, names = 0, []
    for module, targets in parts:
        for target in targets:
            rows, columns = module.get_submodule(target.module).weight.shape[:2]
            width += rows + columns
            names.append(target.name)
    dtype = FORMATS[plan.precision.saving]
    ends = ("lora_down.weight", "lora_up.weight", "alpha")
    empty = {f"{name}.{end}": torch.zeros(()) for name in names for end in ends}
    return plan.network.rank * width * dtype.itemsize + len(lora_bytes(empty, {}, dtype))


def _repeats(repeats: tuple[int, ...]) -> str:
    return many(repeats[0], "repeat") if len(repeats) == 1 else f"{repeats[0]} to {repeats[-1]} repeats"
