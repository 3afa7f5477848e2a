"""A small picture inside a LoRA's metadata, which file browsers show."""

from __future__ import annotations

import base64
import io

from PIL import Image

from ..errors import TrainingError

_SIDE = 256
_MOST_BYTES = 48 * 1024
"""JPEG bytes; a third more as base64. A header of 1 MiB would spoil kohya's legacy hash, and slow browsers down."""


def thumbnail(picture: Image.Image) -> str:
    """A picture as a JPEG data URL, its longer side at most 256 pixels, for modelspec.thumbnail.

    Raises:
        TrainingError: the picture has no pixels.
    """
    if not picture.width or not picture.height:
        raise TrainingError("the thumbnail has no pixels. Choose another picture, or none.")
    small = picture.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    data = next(data for quality in (85, 70, 50, 30) if len(data := _jpeg(small, quality)) <= _MOST_BYTES)
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
