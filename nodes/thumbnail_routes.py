"""Pictures for the page, of files that nodes know; never of a path that a request names."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from aiohttp import web
from PIL import Image

from ..trainer_core.dataset.opening import UnreadableFile
from ..trainer_core.dataset.pictures import training_pixels
from ..trainer_core.dataset.types import DatasetImage
from ..trainer_core.errors import TrainingError
from ..trainer_core.files import is_within
from .routes import NotThere, number

_SIZES = (64, 1024)
_JPEG_QUALITY = 88


def numbered_picture(images: Sequence[DatasetImage], name: str, roots: Sequence[Path]) -> DatasetImage:
    """The picture that a request names by its number, if it lies in a folder from which pictures are shown.

    Raises:
        NotThere: no such number, or it lies elsewhere.
    """
    if not (name.isascii() and name.isdigit() and len(name) < 8 and int(name) < len(images)):
        raise NotThere(f"there is no picture {name!r} on this board.")
    return shown_picture(images[int(name)], roots)


def shown_picture(image: DatasetImage, roots: Sequence[Path]) -> DatasetImage:
    """The picture, if it lies in a folder from which pictures are shown.

    Raises:
        NotThere: it lies elsewhere.
    """
    if not any(is_within(root, image.path) for root in roots):
        raise NotThere("this picture is not in a folder that ComfyUI shows.")
    return image


def as_cropped(image: DatasetImage) -> Image.Image:
    """What training sees of a picture, as large as it is on disk.

    Raises:
        UnreadableFile, TrainingError: the file broke or was changed since the dataset was read.
    """
    return training_pixels(replace(image, bucket=None))


def thumbnail(
    request: web.Request, image: DatasetImage, open_pixels: Callable[[DatasetImage], Image.Image]
) -> web.Response:
    """A JPEG whose longer side is ?size= pixels at most, made only where the browser does not have it yet."""
    size = int(number(request, "size", 256, *_SIZES))

    def make() -> bytes:
        try:
            return jpeg(open_pixels(image), size)
        except (UnreadableFile, TrainingError) as problem:
            raise NotThere(str(problem)) from None

    return picture_answer(request, f"{image.fingerprint}-{size}", "image/jpeg", make, seconds=3600)


def picture_answer(
    request: web.Request, tag: str, content_type: str, make: Callable[[], bytes], seconds: int
) -> web.Response:
    """A picture that the browser keeps for `seconds` and then asks for by its tag: made only if it has another."""
    headers = {
        "ETag": f'"{tag}"',
        "Cache-Control": f"private, max-age={seconds}",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=make(), content_type=content_type, headers=headers)


def jpeg(picture: Image.Image, size: int) -> bytes:
    """A picture as a JPEG whose longer side is `size` pixels at most."""
    small = picture.convert("RGB")
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
