"""Which pictures of a step each of several processes computes."""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset.types import Dataset
from ..errors import TrainingError
from .amount import Step
from .batches import epoch_batches
from .plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class Portion:
    """A batch, or some pictures of one."""

    place: int
    """Of the batch in the whole run: what its draws depend on, and they are drawn for all of it."""
    batch: tuple[int, ...]
    """Indices into dataset.images."""
    rows: slice
    """Which of them."""


def check_shares(plan: TrainingPlan, size: int) -> None:
    """Refuse more processes than a step has pictures.

    Raises:
        TrainingError: some of them would have nothing to do.
    """
    pictures = plan.batch_size * plan.accumulation
    if size > pictures:
        raise TrainingError(
            f"a step has fewer pictures ({pictures}) than there are devices ({size}). Raise batch_size or accumulation "
            "until their product is as large, or train on fewer devices."
        )


def first_batches(dataset: Dataset, plan: TrainingPlan, size: int) -> list[list[int]]:
    """The batches of the first epoch, of each as many pictures as a process of `size` computes together at most."""
    most = largest_share(plan, size)
    return [batch[:most] for batch in epoch_batches(dataset, plan.batch_size, plan.seed, 0)]


def largest_share(plan: TrainingPlan, size: int) -> int:
    """The most pictures of one batch that a process of `size` computes together."""
    return min(plan.batch_size, -(-plan.batch_size * plan.accumulation // size))


def share(step: Step, rank: int, size: int) -> list[Portion]:
    """What the process `rank` of `size` computes of a step: as many pictures as every other one, or one less.

    The pictures of all batches stand in a row, which is cut into equal pieces; so there is a cut through at most
    two batches of a process, and with as many processes as batches there is none. Alone, a process has all of it.
    """
    pictures = sum(map(len, step.batches))
    first, last = rank * pictures // size, (rank + 1) * pictures // size
    portions, before = [], 0
    for place, batch in enumerate(step.batches, start=step.first_batch):
        rows = slice(max(first - before, 0), min(last - before, len(batch)))
        if rows.start < rows.stop:
            portions.append(Portion(place, batch, rows))
        before += len(batch)
    return portions
