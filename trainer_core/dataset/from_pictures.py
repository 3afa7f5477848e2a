"""Single pictures -> Dataset, for pictures that other programs made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import TrainingError
from .caption_text import clean_caption
from .pictures import inspect_picture
from .types import WHITE, Dataset, DatasetImage, Mask

_SOURCE = "given"


def dataset_of_pictures(
    paths: Sequence[Path],
    captions: Sequence[str] = (),
    masks: Sequence[Mask] = (),
    *,
    repeats: int = 1,
    is_regularisation: bool = False,
) -> Dataset:
    """A dataset of `paths` in their order.

    Args:
        captions: none, one for all, or one a picture.
        masks: none, or one a picture.

    Raises:
        TrainingError: no pictures, another number of captions or masks, or a picture that cannot be read.
    """
    if not paths:
        raise TrainingError("there are no pictures. Connect at least one.")
    if len(captions) not in (0, 1, len(paths)):
        raise TrainingError(
            f"there are {len(captions)} captions for {len(paths)} pictures. Give one each, or one for all."
        )
    if len(masks) not in (0, len(paths)):
        raise TrainingError(f"there are {len(masks)} masks for {len(paths)} pictures. Give one each.")
    texts = [clean_caption(caption).joined for caption in captions]
    texts = texts * len(paths) if len(texts) == 1 else texts
    return Dataset(
        images=tuple(
            _image(path, texts[i] if texts else "", masks[i] if masks else None, repeats, is_regularisation)
            for i, path in enumerate(paths)
        )
    )


def _image(path: Path, caption: str, mask: Mask | None, repeats: int, is_regularisation: bool) -> DatasetImage:
    facts = inspect_picture(path)
    return DatasetImage(
        path=path,
        width=facts.width,
        height=facts.height,
        caption=caption,
        caption_source=_SOURCE if caption else "none",
        repeats=repeats,
        is_regularisation=is_regularisation,
        fingerprint=facts.fingerprint,
        background=WHITE if facts.is_transparent else "",
        mask=mask,
        is_repaired=facts.is_repaired,
        notes=facts.notes,
        measures=facts.measures,
    )
