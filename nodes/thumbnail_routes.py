"""Small pictures for the page, of pictures that nodes know; never of a path that a request names."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web
from PIL import Image

from ..trainer_core.dataset.opening import UnreadableFile
from ..trainer_core.dataset.types import DatasetImage
from ..trainer_core.errors import TrainingError
from ..trainer_core.files import is_within
from .routes import NotThere, number

_SIZES = (64, 1024)
_JPEG_QUALITY = 85


def numbered_picture(images: Sequence[DatasetImage], name: str, roots: Sequence[Path]) -> DatasetImage:
    """The picture that a request names by its number, if it lies in a folder from which pictures are shown.

    Raises:
        NotThere: no such number, or it lies elsewhere.
    """
    if not (name.isascii() and name.isdigit() and len(name) < 8 and int(name) < len(images)):
        raise NotThere(f"there is no picture {name!r} on this board.")
    image = images[int(name)]
    if not any(is_within(root, image.path) for root in roots):
        raise NotThere("this picture is not in a folder that ComfyUI shows.")
    return image


def thumbnail(
    request: web.Request, image: DatasetImage, open_pixels: Callable[[DatasetImage], Image.Image]
) -> web.Response:
    """A JPEG whose longer side is ?size= pixels at most, made only where the browser does not have it yet."""
    size = int(number(request, "size", 256, *_SIZES))
    tag = f'"{image.fingerprint}-{size}"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    try:
        picture = open_pixels(image)
    except (UnreadableFile, TrainingError) as problem:
        raise NotThere(str(problem)) from None
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return web.Response(body=buffer.getvalue(), content_type="image/jpeg", headers=headers)
