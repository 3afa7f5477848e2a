"""Which pictures are kept from training, so that what is learned can be told from what is memorised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import many
from ..health.similarity import Hashes, duplicates, mirrored
from .batches import stream_seed
from .plan.validation import ValidationPlan

FEWEST_PICTURES = 8
"""Sets with fewer training pictures need every one of them."""
_FEWEST, _MOST = 2, 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """A dataset in two."""

    training: Dataset
    """What is trained: all but the held-out pictures, in their order, with the regularisation pictures."""
    held_out: tuple[DatasetImage, ...]
    remark: str
    """What was held out, or why nothing was; no full stop."""


def hold_out(dataset: Dataset, plan: ValidationPlan) -> Split:
    """Split a dataset by the plan's share and seed.

    Pictures are drawn by their bytes and the seed, so that the choice hardly changes as the set grows. Pictures with
    copies, mirrored ones too, are trained: held out, they would look learned while they are memorised.
    """
    pictures = dataset.training_images
    if not plan.every_epochs or not plan.held_out_share:
        return _all_trained(dataset, "held-out loss is not measured: it is switched off")
    if len(pictures) < FEWEST_PICTURES:
        return _all_trained(dataset, f"held-out loss is not measured: that takes {FEWEST_PICTURES} pictures or more")
    count = min(max(round(len(pictures) * plan.held_out_share), _FEWEST), _MOST)
    candidates = [image for image in _without_copies(dataset.images) if not image.is_regularisation]
    chosen = sorted(candidates, key=lambda image: _lot(image, plan.seed))[:count]
    if len(chosen) < _FEWEST:
        return _all_trained(dataset, "held-out loss is not measured: nearly all pictures are copies of each other")
    chosen_bytes = {image.fingerprint for image in chosen}
    return Split(
        training=dataset.with_images(tuple(i for i in dataset.images if i.fingerprint not in chosen_bytes)),
        held_out=tuple(image for image in pictures if image.fingerprint in chosen_bytes),
        remark=f"{len(chosen)} of {many(len(pictures), 'picture')} are held out and only measured",
    )


def _all_trained(dataset: Dataset, remark: str) -> Split:
    return Split(training=dataset, held_out=(), remark=remark)


def _lot(image: DatasetImage, seed: int) -> int:
    return stream_seed(seed, "held out", image.fingerprint)


def _without_copies(pictures: Sequence[DatasetImage]) -> list[DatasetImage]:
    """Those of which there is no copy among the others, nor among the mirrored others."""
    times = Counter(image.fingerprint for image in pictures)
    single = [image for image in pictures if times[image.fingerprint] == 1]
    measured = [image for image in single if image.measures]
    hashes = Hashes.of([image.measures for image in measured])
    groups = (*duplicates(hashes), *mirrored(hashes)) if measured else ()
    copies = {measured[place].fingerprint for group in groups for place in group}
    return [image for image in single if image.fingerprint not in copies]
