"""The two-prompt test: a caption word for word, and the trigger words alone, drawn with and without the LoRA.

A caption that still gives what the base model draws was not learned; the bare trigger giving one training picture again
and again was memorised. It works on sets that are too small to hold pictures out of.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from ..captions.tags import join_tags, plain_tag, split_tags
from ..dataset.types import Dataset, DatasetImage
from ..picture_request import PictureRequest
from .batches import stream_seed
from .plan.validation import ValidationPlan

# Shape suffixes: N pictures, M others, D values of a picture.

PICTURES_EACH = 3
"""Captions that are drawn word for word, and seeds that the bare trigger is drawn with."""
_SHARED = 0.6
"""Share of the captions that a tag must be in to count as what the set is of."""
_CELLS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoPrompts:
    """What is drawn."""

    sources: tuple[DatasetImage, ...]
    """Training pictures whose captions are drawn word for word."""
    trigger: str
    """The trigger words and the class; empty where the set has neither, and nothing is drawn for it."""

    def requests(self, like: PictureRequest) -> list[PictureRequest]:
        """Each source's caption, then the trigger with several seeds; everything else as `like` has it."""
        captions = [replace(like, prompt=image.caption, seed=like.seed + i) for i, image in enumerate(self.sources)]
        triggers = [replace(like, prompt=self.trigger, seed=like.seed + i) for i in range(PICTURES_EACH)]
        return captions + (triggers if self.trigger else [])


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoPromptResult:
    """What the drawn pictures show, as ratios of coarse differences: composition and colours count, detail does not."""

    caption_distance: float
    """How far captions are drawn from their training pictures, against the base model's: 1 is as far, 0 is the same."""
    trigger_distance: float | None
    """How far the trigger's pictures are from the set, against the base model's; None without a trigger."""
    trigger_variety: float | None
    """How much the trigger's pictures differ from each other, against the training pictures: 0 is one composition."""
    nearest: float | None
    """How far the trigger's pictures are from the nearest training picture, against how far training pictures are from
    each other: near 0 they are copies."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TwoPromptResult:
        return cls(**value)


def choose_prompts(training: Dataset, plan: ValidationPlan) -> TwoPrompts:
    """Captions of training pictures drawn by the plan's seed, and the trigger words with what the set is of."""
    pictures = [image for image in training.training_images if image.caption]
    draw = random.Random(stream_seed(plan.seed, "two prompts"))
    sources = draw.sample(pictures, min(PICTURES_EACH, len(pictures)))
    words = [*training.trigger_words, *(split_tags(plan.class_words) or _shared_tag(training))]
    return TwoPrompts(sources=tuple(sources), trigger=join_tags(words))


def _shared_tag(training: Dataset) -> list[str]:
    """The tag, other than the trigger words, that most captions have; the first of several, none if it is in few."""
    triggers = set(map(plain_tag, training.trigger_words))
    captions = [dict.fromkeys(map(plain_tag, split_tags(image.caption))) for image in training.training_images]
    counts = Counter(tag for tags in captions for tag in tags if tag not in triggers)
    if not counts:
        return []
    tag, count = counts.most_common(1)[0]
    return [tag] if count >= _SHARED * len(captions) else []


# ------------------------------------------------------------------------------------------------- what is compared


def compare_pictures(
    drawn: Sequence[Image.Image],
    drawn_without: Sequence[Image.Image],
    sources: Sequence[Image.Image],
    training: Sequence[Image.Image],
) -> TwoPromptResult:
    """Measure what was drawn against what was trained.

    Args:
        drawn: the pictures of `TwoPrompts.requests`, with the LoRA.
        drawn_without: the same of the base model.
        sources: the pictures of `TwoPrompts.sources`, as they are trained.
        training: the trained pictures, or some of them; two at least.
    """
    sources_ND, training_MD = _coarse(sources), _coarse(training)
    captions_ND, triggers_ND = _split(drawn, len(sources))
    base_captions_ND, base_triggers_ND = _split(drawn_without, len(sources))
    apart = _between(training_MD)
    has_trigger = len(triggers_ND) > 1
    return TwoPromptResult(
        caption_distance=_ratio(_paired(captions_ND, sources_ND), _paired(base_captions_ND, sources_ND)),
        trigger_distance=_ratio(_to_nearest(triggers_ND, training_MD), _to_nearest(base_triggers_ND, training_MD))
        if has_trigger
        else None,
        trigger_variety=_ratio(_between(triggers_ND), apart) if has_trigger else None,
        nearest=_ratio(_to_nearest(triggers_ND, training_MD), _to_nearest_other(training_MD)) if has_trigger else None,
    )


def _coarse(pictures: Sequence[Image.Image]) -> np.ndarray:
    """Pictures as 8 x 8 cells of mean colour, 0 to 1 (N, D): where what is, and nothing finer."""
    cells = [picture.convert("RGB").resize((_CELLS, _CELLS), Image.Resampling.BOX) for picture in pictures]
    return np.array([np.asarray(cell, dtype=np.float64).ravel() / 255 for cell in cells])


def _split(pictures: Sequence[Image.Image], captions: int) -> tuple[np.ndarray, np.ndarray]:
    return _coarse(pictures[:captions]), _coarse(pictures[captions:])


def _distances(one_ND: np.ndarray, other_MD: np.ndarray) -> np.ndarray:
    """Root mean squares of the differences (N, M)."""
    return np.sqrt(((one_ND[:, None] - other_MD[None]) ** 2).mean(axis=2))


def _paired(one_ND: np.ndarray, other_ND: np.ndarray) -> float:
    return float(np.diagonal(_distances(one_ND, other_ND)).mean())


def _to_nearest(one_ND: np.ndarray, other_MD: np.ndarray) -> float:
    return float(_distances(one_ND, other_MD).min(axis=1).mean())


def _to_nearest_other(pictures_ND: np.ndarray) -> float:
    distances_NN = _distances(pictures_ND, pictures_ND)
    np.fill_diagonal(distances_NN, np.inf)
    return float(distances_NN.min(axis=1).mean())


def _between(pictures_ND: np.ndarray) -> float:
    """Mean distance of two different pictures."""
    distances_NN = _distances(pictures_ND, pictures_ND)
    return float(distances_NN.sum() / max(1, len(pictures_ND) * (len(pictures_ND) - 1)))


def _ratio(distance: float, reference: float) -> float:
    return distance / max(reference, 1e-6)
