"""The arithmetic of a run, before it starts: how many steps, how many files, how large."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..dataset.types import Dataset
from ..dataset.wording import many
from ..lora.file import lora_bytes, stored_format
from ..lora.names import targets_of
from ..lora.networks import fresh_shapes, scale_of
from .amount import saves, steps_per_epoch
from .plan import TrainingPlan
from .precision import FORMATS

if TYPE_CHECKING:
    from ..families.base_model import BaseModel


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
    """Of them the last may be a part of one, where the plan counts steps."""
    batch_size: int
    accumulation: int
    """Batches per step."""
    steps: int
    """Optimizer steps of the whole run, short batches included."""
    counts_steps: bool
    """Whether the plan says the steps, and the epochs follow."""
    saves: int
    """LoRAs that are there at the end."""
    bytes_each: int | None
    """Size of one saved LoRA; None where the base model is not known yet."""
    scale: float | None
    """What the LoRA's matrices count at strength 1, from rank and alpha; None of oft, which has none."""

    def line(self) -> str:
        """ "20 pictures x 10 repeats x 10 epochs / batch 2 = 1,000 steps, 5 saves, about 36 MB each"."""
        pictures = f"{many(self.pictures, 'picture')} x {_repeats(self.repeats)}"
        if len(self.repeats) > 1:
            pictures += f" ({self.samples:,} samples)"
        if self.regularised:
            pictures = f"({pictures} + as many regularisation samples)"
        batch = f"batch {self.batch_size}" + (f" x {self.accumulation}" if self.accumulation > 1 else "")
        size = f", about {round(self.bytes_each / 2**20):,} MB each" if self.bytes_each else ""
        saves = f"{many(self.saves, 'save')}{size}"
        if self.counts_steps:
            return f"{pictures} / {batch}: {many(self.steps, 'step')} in {many(self.epochs, 'epoch')}, {saves}"
        return f"{pictures} x {many(self.epochs, 'epoch')} / {batch} = {self._steps()}, {saves}"

    def scale_line(self) -> str:
        """ "scale of the LoRA at strength 1: 0.5"."""
        return f"scale of the LoRA at strength 1: {'none (oft)' if self.scale is None else f'{self.scale:.3g}'}"

    def _steps(self) -> str:
        samples = self.samples * (2 if self.regularised else 1) * self.epochs
        even = samples / (self.batch_size * self.accumulation)
        steps = many(int(even), "step") if even == int(even) else f"{even:,.1f} steps"
        return steps if self.steps == even else f"{steps} ({self.steps:,} as some batches are not full)"


def run_size(dataset: Dataset, plan: TrainingPlan, outline: BaseModel | None = None) -> RunSize:
    """The size of a run on a cropped dataset; with the base model's outline also that of its files."""
    lengths = steps_per_epoch(dataset, plan)
    kept = len(saves(plan, lengths))
    return RunSize(
        pictures=len(dataset.training_images),
        repeats=tuple(sorted({image.repeats for image in dataset.training_images})),
        samples=sum(image.repeats for image in dataset.training_images),
        regularised=bool(dataset.regularisation_images),
        epochs=len(lengths),
        batch_size=plan.batch_size,
        accumulation=plan.accumulation,
        steps=sum(lengths),
        counts_steps=bool(plan.steps),
        saves=min(kept, plan.saving.keep_last or kept),
        bytes_each=lora_size(outline, plan) if outline else None,
        scale=scale_of(plan.network.rank, plan.network.alpha, plan.adapter),
    )


def lora_size(outline: BaseModel, plan: TrainingPlan) -> int:
    """Bytes of a LoRA file without its metadata, from a base model's shapes alone."""
    adapter = plan.adapter
    unet, *encoders = targets_of(outline, adapter.targets, adapter.blocks)
    rates = plan.optimizer
    parts = ([unet] if rates.rate_of_unet else []) + (encoders if rates.rate_of_text_encoder else [])
    dtype = FORMATS[plan.precision.saving]
    size, empty = 0, {}
    for module, targets in parts:
        for target in targets:
            shapes = fresh_shapes(module.get_submodule(target.module), plan.network.rank, adapter)
            size += sum(math.prod(shape) * stored_format(name, dtype).itemsize for name, shape in shapes.items())
            empty |= {f"{target.name}.{name}": torch.zeros(()) for name in (*shapes, "alpha")}
    return size + len(lora_bytes(empty, {}, dtype))


def _repeats(repeats: tuple[int, ...]) -> str:
    return many(repeats[0], "repeat") if len(repeats) == 1 else f"{repeats[0]} to {repeats[-1]} repeats"
