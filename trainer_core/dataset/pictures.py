"""Opening pictures: whatever a file holds, the result is an upright RGB picture or a plain reason."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ..errors import TrainingError
from .types import DatasetImage

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
SMALLEST_SIDE = 16
"""Pixels. Anything thinner is an icon or a ruler, not a training picture."""
MOST_PIXELS = 100_000_000
MOST_BYTES = 512 * 2**20
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
_DEEP_GREY_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")


class UnreadableFile(TrainingError):
    """A file that cannot be used. `reason` says why in a few words, without the file's name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot use {path}: {reason}. Replace the file or take it out of the folder.")
        self.reason = reason


def inspect_picture(path: Path) -> tuple[int, int, str]:
    """Decode a picture once, completely: `Image.verify` would pass half a JPEG.

    Returns:
        Width and height in pixels after the camera's rotation, and the BLAKE2 of the file's bytes (32 hex
        digits).

    Raises:
        UnreadableFile: empty, truncated, not a picture, too small or too large.
    """
    data = read_regular_file(path, MOST_BYTES)
    width, height = _decode(path, data).size
    return width, height, hashlib.blake2b(data, digest_size=16).hexdigest()


def open_picture(path: Path) -> Image.Image:
    """The picture as RGB: upright, transparency on white, 16-bit grey scaled to 8, first frame of an
    animation.

    Raises:
        UnreadableFile: as `inspect_picture`.
    """
    return _decode(path, read_regular_file(path, MOST_BYTES))


def training_pixels(image: DatasetImage) -> Image.Image:
    """What training sees of a picture: its crop (all of it if none is set) at its bucket's size, RGB.

    A picture without a bucket keeps the size of its crop.

    Raises:
        UnreadableFile: the file broke since the dataset was read.
        TrainingError: the file was replaced by one of another size.
    """
    picture = open_picture(image.path)
    if picture.size != (image.width, image.height):
        raise TrainingError(
            f"{image.path} was {image.width} x {image.height} when the dataset was read and is now "
            f"{picture.width} x {picture.height}. Load the dataset again."
        )
    if image.crop:
        picture = picture.crop((image.crop.left, image.crop.top, image.crop.right, image.crop.bottom))
    if image.bucket is None or picture.size == image.bucket:
        return picture
    return picture.resize(image.bucket, Image.Resampling.LANCZOS, reducing_gap=3.0)


def read_regular_file(path: Path, most_bytes: int) -> bytes:
    """The bytes of an ordinary file. A FIFO or a device is refused without waiting for it.

    Raises:
        UnreadableFile: missing, not an ordinary file, or larger than `most_bytes`.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as problem:
        raise UnreadableFile(path, (problem.strerror or str(problem)).lower()) from problem
    try:
        return _read_handle(path, handle, most_bytes)
    except OSError as problem:
        raise UnreadableFile(path, (problem.strerror or str(problem)).lower()) from problem
    finally:
        os.close(handle)


def _read_handle(path: Path, handle: int, most_bytes: int) -> bytes:
    """Checked on the open handle, so that nothing can be swapped in between the check and the reading."""
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableFile(path, "not an ordinary file")
    if facts.st_size > most_bytes:
        raise UnreadableFile(path, f"larger than {most_bytes // 1024:,} KB")
    with open(handle, "rb", closefd=False) as file:
        return file.read()


def _decode(path: Path, data: bytes) -> Image.Image:
    if not data:
        raise UnreadableFile(path, "empty file")
    try:
        with _strict_decoding(), Image.open(io.BytesIO(data), formats=_known_formats()) as picture:
            _check_size(path, picture)
            picture.load()
            return _to_rgb(_eight_bit(path, _upright(picture)))
    except UnreadableFile:
        raise
    except UnidentifiedImageError as problem:
        raise UnreadableFile(path, _what_it_is_instead(data)) from problem
    except Image.DecompressionBombError as problem:
        raise UnreadableFile(path, _too_many_pixels()) from problem
    except Exception as problem:  # broken bytes make decoders raise nearly anything, and one file is never fatal
        raise UnreadableFile(path, _decoder_reason(problem)) from problem


@contextlib.contextmanager
def _strict_decoding() -> Iterator[None]:
    """Half a picture is an error, even where another node pack has told Pillow to fill the rest with grey."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _check_size(path: Path, picture: Image.Image) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise UnreadableFile(path, _too_many_pixels())
    if min(picture.size) < SMALLEST_SIDE:
        raise UnreadableFile(path, f"too small: {picture.width} x {picture.height}, below {SMALLEST_SIDE} pixels")


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a garbled EXIF block says nothing about rotation; the pixels are fine
        return picture


def _eight_bit(path: Path, picture: Image.Image) -> Image.Image:
    """Bring 16-bit and float grey to 8 bits; Pillow's own conversion would clip nearly all of it to white."""
    if picture.mode not in _DEEP_GREY_MODES:
        return picture
    values = np.asarray(picture).astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableFile(path, "its pixels hold NaN or infinite values")
    grey = values * (255 / _white_level(values, picture.mode))
    return Image.fromarray(grey.clip(0, 255).round().astype(np.uint8))


def _white_level(values: np.ndarray, mode: str) -> float:
    """The value of white: float files come as 0..1 or 0..255, integer ones as 0..65535, others by peak."""
    peak = float(values.max())
    levels = (1.0, 255.0, 65535.0) if mode == "F" else (65535.0,)
    return next((level for level in levels if peak <= level), peak)


def _to_rgb(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    # The colour hidden under full transparency is arbitrary (often black or magenta) and must not be learned.
    cut_out = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", cut_out.size, "white"), cut_out).convert("RGB")


def _too_many_pixels() -> str:
    return f"too large: more than {MOST_PIXELS // 10**6} million pixels"


def _what_it_is_instead(data: bytes) -> str:
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a picture"
    if b"<svg" in start:
        return "an SVG drawing, not a picture of pixels"
    return "not a picture, or a format this Pillow cannot read"


def _decoder_reason(problem: Exception) -> str:
    text = str(problem).split("\n")[0]
    if "truncated" in text.lower() or isinstance(problem, EOFError):
        return "truncated: the file ends before the picture does"
    return f"broken: {text[:80] or type(problem).__name__}"
