"""A picture file's bytes -> an upright picture in sRGB with 8 bits a channel, or a plain reason why there is none."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from .colour import to_srgb
from .describing import compression_note, decoder_reason, format_note, frames_note, what_it_is_instead
from .opening import UnreadableFile
from .png_chunks import PNG_START, checked_png
from .repair import ends_in_grey, readable_part
from .strictness import decode_strictly

MOST_PIXELS = 100_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
_LEAST_READABLE = 0.98
"""Share of rows. Phones and messengers lose a JPEG's last bytes; what lacks more is a broken download."""
_DEEP_GREY_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_GREY_MODES = ("1", "L", "LA", "La", *_DEEP_GREY_MODES)
_KEPT_MODES = {"1": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}
"""What a picture without transparency becomes before its colours are converted; RGB if its mode is not here."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by the value of its EXIF orientation."""
_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture that is ready to be used."""

    picture: Image.Image
    """Upright, sRGB, 8 bits: RGB, or RGBA where something shows through."""
    notes: tuple[str, ...]
    is_repaired: bool


def decode(path: Path, data: bytes) -> Decoded:
    """Decode all of a file's bytes: `Image.verify` would pass half a JPEG. Safe to call from several threads.

    Raises:
        UnreadableFile: empty, truncated, not a picture, or too large.
    """
    if not data:
        raise UnreadableFile(path, "empty file")
    try:
        return decode_strictly(lambda: _decode(path, data))
    except UnreadableFile:
        raise
    except UnidentifiedImageError as problem:
        raise UnreadableFile(path, what_it_is_instead(data)) from problem
    except Image.DecompressionBombError as problem:
        raise UnreadableFile(path, _too_many_pixels()) from problem
    except Exception as problem:  # broken bytes make decoders raise nearly anything, and one file is never fatal
        raise UnreadableFile(path, decoder_reason(problem), may_pass=isinstance(problem, MemoryError)) from problem


def _decode(path: Path, data: bytes) -> Decoded:
    is_whole = True
    if data.startswith(PNG_START):
        data, is_whole = checked_png(data)
    with Image.open(io.BytesIO(data), formats=_known_formats()) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise UnreadableFile(path, _too_many_pixels())
        notes = [format_note(path, picture), frames_note(picture, data), compression_note(picture)]
        if picture.mode in _GREY_MODES:
            notes.append("greyscale")
        loaded, damage = _loaded(path, data, picture)
        damage = damage or ("" if is_whole else _ends_early(1))
        colours, alpha = _parted(path, _turned(loaded))
        finished, colour_note = to_srgb(colours, picture.info.get("icc_profile"))
    finished.info = {}  # a profile or an orientation that is dealt with must not end up in files made of the picture
    if alpha:
        finished.putalpha(alpha)
    notes += [damage, colour_note]
    return Decoded(finished, tuple(note for note in notes if note), bool(damage))


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _loaded(path: Path, data: bytes, picture: Image.Image) -> tuple[Image.Image, str]:
    """The decoded picture, and a note if its file was damaged. Rows that a cut JPEG lacks are left out."""
    problem = None
    try:
        picture.load()
        if picture.format != "JPEG" or not ends_in_grey(picture):
            return picture, ""
    except OSError as error:
        problem = error
    found = readable_part(data)
    if found is None and problem:
        raise problem
    if found is None or (found[1] == 1 and not problem):
        return picture, ""
    rows, share = found
    if share < _LEAST_READABLE:
        raise UnreadableFile(path, f"truncated, {int(100 * share)}% readable") from problem
    return rows, _ends_early(share)


def _ends_early(share: float) -> str:
    return f"the file ends early; {int(100 * share)}% of its rows are readable"


def _turned(picture: Image.Image) -> Image.Image:
    """Upright, by the camera's word."""
    try:
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION))
    except Exception:  # a garbled EXIF block says nothing about rotation; the pixels are fine
        return picture
    return picture if turn is None else picture.transpose(turn)


def _parted(path: Path, picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours as L, RGB, CMYK or LAB, and the alpha channel where anything is not opaque."""
    if picture.mode in _DEEP_GREY_MODES:
        return _eight_bit(path, picture), None
    if not picture.has_transparency_data:
        mode = _KEPT_MODES.get(picture.mode, "RGB")
        return picture if picture.mode == mode else picture.convert(mode), None
    cut_out = picture.convert("RGBA")
    alpha = cut_out.getchannel("A")
    colours = picture.convert("L") if picture.mode == "LA" else cut_out.convert("RGB")
    return colours, alpha if alpha.getextrema()[0] < 255 else None


def _eight_bit(path: Path, picture: Image.Image) -> Image.Image:
    """Bring 16-bit and float grey to 8 bits; Pillow's own conversion would clip nearly all of it to white."""
    values = np.asarray(picture)
    if values.dtype.itemsize == 2:
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableFile(path, "its pixels hold NaN or infinite values")
    grey = values * (255 / _white_level(values, picture.mode))
    return Image.fromarray(grey.clip(0, 255).round().astype(np.uint8))


def _white_level(values: np.ndarray, mode: str) -> float:
    """The value of white: float files come as 0..1 or 0..255, integer ones as 0..65535, others by peak."""
    peak = float(values.max())
    levels = (1.0, 255.0, 65535.0) if mode == "F" else (65535.0,)
    return next((level for level in levels if peak <= level), peak)


def _too_many_pixels() -> str:
    return f"too large: more than {MOST_PIXELS // 10**6} million pixels"
