"""Which pictures are trained in which step: a pure function of the dataset, the plan's seed and the epoch.

Nothing is stored to resume: position in a run is the step number, and the rest follows from it.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate

import torch

from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from .plan import TrainingPlan


def epoch_batches(dataset: Dataset, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of an epoch (0-based), as indices into dataset.images.

    Every batch is of one bucket; a bucket's last batch may be short. Each training picture appears `repeats`
    times; regularisation pictures are added until there are as many of them, as kohya's trainer does, but each
    epoch goes on where the last one stopped, so that all of them are seen.
    """
    shuffle = random.Random(stream_seed(seed, "order", epoch)).shuffle
    samples = _training_samples(dataset)
    samples += _regularisation_samples(dataset, len(samples), epoch)
    by_bucket: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index in samples:
        by_bucket[dataset.images[index].bucket].append(index)
    batches = []
    for bucket in sorted(by_bucket):
        members = by_bucket[bucket]
        shuffle(members)
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    shuffle(batches)
    return batches


def batches_in_epoch(dataset: Dataset, batch_size: int, epoch: int) -> int:
    """How many `epoch_batches` has, without putting them in order."""
    samples = _training_samples(dataset)
    samples += _regularisation_samples(dataset, len(samples), epoch)
    in_buckets = Counter(dataset.images[index].bucket for index in samples)
    return sum(-(-count // batch_size) for count in in_buckets.values())


class BatchOrder:
    """The batches of a whole run, found by their place in it. One epoch is in memory at a time."""

    def __init__(self, dataset: Dataset, plan: TrainingPlan, steps_per_epoch: Sequence[int]) -> None:
        self._dataset, self._plan = dataset, plan
        in_epochs = (batches_in_epoch(dataset, plan.batch_size, epoch) for epoch in range(len(steps_per_epoch)))
        used = (min(there, steps * plan.accumulation) for there, steps in zip(in_epochs, steps_per_epoch, strict=True))
        self._ends = list(accumulate(used))
        self._epoch, self._batches = -1, []

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, place: int) -> list[int]:
        epoch = bisect_right(self._ends, place)
        if epoch != self._epoch:
            self._batches = epoch_batches(self._dataset, self._plan.batch_size, self._plan.seed, epoch)
            self._epoch = epoch
        return self._batches[place - (self._ends[epoch - 1] if epoch else 0)]


def check_trainable(dataset: Dataset, plan: TrainingPlan) -> None:
    """Refuse a set that a plan cannot train.

    Raises:
        TrainingError: no pictures, no crops, or a batch larger than what an epoch holds.
    """
    if not dataset.training_images:
        raise TrainingError("the dataset has no training pictures. Choose a folder with pictures in it.")
    if uncropped := [image for image in dataset.images if image.bucket is None]:
        raise TrainingError(f"{len(uncropped)} pictures have no crop ({uncropped[0].path.name}). Add Smart Crop first.")
    samples = len(_training_samples(dataset))
    if plan.batch_size > samples:
        raise TrainingError(
            f"the batch size {plan.batch_size} is larger than the set: {len(dataset.training_images)} pictures with "
            f"their repeats make {samples} a epoch. Lower the batch size to {samples} or raise the repeats."
        )


def stream_seed(*parts: object) -> int:
    """A 63-bit seed from parts: unlike sums of seeds, two streams never coincide."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def step_generator(seed: int, step: int) -> torch.Generator:
    """A CPU generator for one step's noise and timesteps, the same however the run came to that step."""
    return torch.Generator().manual_seed(stream_seed(seed, "noise", step))


def draw_captions(images: Sequence[DatasetImage], seed: int, step: int) -> list[str]:
    """The caption of each picture of a step's batch: one of its captions, the same however the run came there."""
    draw = random.Random(stream_seed(seed, "caption", step))
    return [draw.choice(image.captions) if image.other_captions else image.caption for image in images]


def draw_flips(count: int, seed: int, step: int, *, flip: bool) -> list[bool]:
    """Which pictures of a step's batch are shown mirrored; none unless the plan flips."""
    draw = random.Random(stream_seed(seed, "flip", step))
    return [flip and draw.random() < 0.5 for _ in range(count)]


def _training_samples(dataset: Dataset) -> list[int]:
    images = enumerate(dataset.images)
    return [index for index, image in images if not image.is_regularisation for _ in range(image.repeats)]


def _regularisation_samples(dataset: Dataset, wanted: int, epoch: int) -> list[int]:
    images = enumerate(dataset.images)
    cycle = [index for index, image in images if image.is_regularisation for _ in range(image.repeats)]
    return _take(cycle, wanted, start=epoch * wanted) if cycle else []


def _take(cycle: Sequence[int], count: int, start: int) -> list[int]:
    return [cycle[(start + i) % len(cycle)] for i in range(count)]
