"""How long a run is, and when a LoRA is kept: pure functions of the dataset and the plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, count

from ..dataset.types import Dataset
from .batches import batches_in_epoch, epoch_batches
from .plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step: the batches whose gradients it adds up."""

    epoch: int
    """0-based."""
    batches: tuple[tuple[int, ...], ...]
    """Indices into dataset.images."""
    first_batch: int
    """Place of the first batch in the whole run: what the draws of a visit depend on."""
    is_last_of_epoch: bool


@dataclass(frozen=True, slots=True)
class Save:
    """A LoRA that a run keeps on its way."""

    epoch: int
    """1-based; of a save within an epoch, that epoch."""
    step: int
    name: str
    """End of the file's name before the suffix, as kohya's trainer has it; empty for the last one."""


def steps_per_epoch(dataset: Dataset, plan: TrainingPlan) -> list[int]:
    """Optimizer steps of every epoch. 20 pictures x 10 repeats at batch 1 is 200; buckets round up.

    Where the plan counts steps, the last epoch may be a part of one.
    """
    lengths, total = [], 0
    for epoch in range(plan.epochs) if not plan.steps else count():
        if not lengths or dataset.regularisation_images:  # else every epoch has as many
            batches = batches_in_epoch(dataset, plan.batch_size, epoch)
        steps = -(-batches // plan.accumulation)
        if plan.steps:
            steps = min(steps, plan.steps - total)
        lengths.append(steps)
        total += steps
        if total == plan.steps:
            break
    return lengths


def steps_from(dataset: Dataset, plan: TrainingPlan, lengths: list[int], start: int):
    """Every step from `start` (0-based) to the end of the run, in order."""
    step = first_batch = 0
    for epoch, length in enumerate(lengths):
        if step + length <= start:
            step += length
            first_batch += batches_in_epoch(dataset, plan.batch_size, epoch)
            continue
        batches = epoch_batches(dataset, plan.batch_size, plan.seed, epoch)
        for index in range(length):
            group = batches[index * plan.accumulation : (index + 1) * plan.accumulation]
            if step >= start:
                yield Step(epoch, tuple(map(tuple, group)), first_batch, index == length - 1)
            step += 1
            first_batch += len(group)


def share_of_epochs(whole: int, done: int, lengths: list[int]) -> float:
    """Epochs trained after `whole` of them and `done` steps of the next: 1.25, or 2 at its end. Hundredths, rounded
    down, so that only a whole epoch counts as one."""
    length = lengths[whole]
    return whole + 1 if done == length else whole + math.floor(100 * done / length) / 100


def step_name(step: int) -> str:
    """End of the name of a LoRA that is kept within an epoch, as kohya's trainer has it."""
    return f"-step{step:08d}"


def epoch_name(epoch: int) -> str:
    """The same of one that is kept at the end of an epoch."""
    return f"-{epoch:06d}"


def saves(plan: TrainingPlan, lengths: list[int]) -> list[Save]:
    """Every LoRA that the run keeps, in order; the last one is the run's end. Earlier ones may be deleted again, if the
    plan keeps the last few only."""
    saving, total = plan.saving, sum(lengths)
    found: dict[int, Save] = {}
    ends = list(accumulate(lengths))
    if saving.every_steps:
        for step in range(saving.every_steps, total, saving.every_steps):
            epoch = next(number for number, end in enumerate(ends, start=1) if step <= end)
            found[step] = Save(epoch, step, step_name(step))
    if saving.every_epochs:
        for epoch in range(saving.every_epochs, len(lengths), saving.every_epochs):
            found[ends[epoch - 1]] = Save(epoch, ends[epoch - 1], epoch_name(epoch))
    found[total] = Save(len(lengths), total, "")
    return [found[step] for step in sorted(found)]
