"""The socket for automatic taggers: what one has to offer, and how its scores become captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from PIL import Image

from ..dataset.pictures import open_picture
from ..dataset.types import Dataset, DatasetImage
from ..errors import TrainingError
from .captions import lead_with

_PICTURES_AT_ONCE = 8


class Tagger(Protocol):
    """A model that names what it sees."""

    name: str
    """Shown as the caption's source."""

    def tag(self, pictures: Sequence[Image.Image]) -> list[dict[str, float]]:
        """For each RGB picture its tags, as they should stand in a caption, with scores from 0 to 1."""
        ...


def captions_from_scores(scores: Mapping[str, float], threshold: float) -> str:
    """The tags that score at least `threshold`, surest first, as one caption.

    Raises:
        TrainingError: `threshold` is not from 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise TrainingError(f"the tag threshold is {threshold}. Choose a number from 0 to 1, such as 0.35.")
    kept = [tag for tag, score in scores.items() if score >= threshold]
    return ", ".join(sorted(kept, key=lambda tag: (-scores[tag], tag)))


def tag_dataset(dataset: Dataset, tagger: Tagger, *, threshold: float, keep_existing: bool) -> Iterator[DatasetImage]:
    """Yield the images in order with captions by `tagger`, for `dataset.with_images(tuple(...))`.

    `keep_existing` leaves captions that were written for the picture itself; those from a folder's name are
    always replaced. Trigger words set before stay in front. A picture on which no tag reaches the threshold
    keeps the caption it had.

    Raises:
        TrainingError: a threshold outside 0 to 1, a picture that cannot be read, or a tagger that does not
            answer for every picture.
    """
    captions_from_scores({}, threshold)  # refuses a wrong threshold now, not at the first picture
    return _tag_images(dataset, tagger, threshold, keep_existing)


def _tag_images(dataset: Dataset, tagger: Tagger, threshold: float, keep_existing: bool) -> Iterator[DatasetImage]:
    for start in range(0, len(dataset.images), _PICTURES_AT_ONCE):
        batch = dataset.images[start : start + _PICTURES_AT_ONCE]
        wanted = [image for image in batch if not (keep_existing and _has_own_caption(image))]
        captions = dict(zip(wanted, _captions(wanted, tagger, threshold), strict=True))
        for image in batch:
            yield _captioned(image, captions.get(image, ""), tagger.name, dataset.trigger_words)


def _captions(images: Sequence[DatasetImage], tagger: Tagger, threshold: float) -> list[str]:
    if not images:
        return []
    answers = tagger.tag([open_picture(image.path) for image in images])
    if len(answers) != len(images):
        raise TrainingError(
            f"the tagger {tagger.name} answered for {len(answers)} of {len(images)} pictures. Choose another tagger."
        )
    return [captions_from_scores(scores, threshold) for scores in answers]


def _captioned(image: DatasetImage, caption: str, source: str, trigger_words: Sequence[str]) -> DatasetImage:
    if not caption:
        return image
    if not image.is_regularisation:
        caption = lead_with(caption, trigger_words)
    return replace(image, caption=caption, other_captions=(), caption_source=source)


def _has_own_caption(image: DatasetImage) -> bool:
    return bool(image.caption) and image.caption_source not in ("none", "empty", "folder name")
