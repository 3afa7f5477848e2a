"""Pictures as the stages need them: their facts once, their pixels for the eye, their pixels for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import TrainingError
from ..fields import field_values
from ..files import bytes_digest
from .decoding import decode
from .measures import Measures, measure
from .opening import read_regular_file
from .types import WHITE, CropBox, DatasetImage

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
MOST_BYTES = 512 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFacts:
    """What one look at a picture file finds."""

    width: int
    """Pixels, after the camera's rotation (EXIF) is applied."""
    height: int
    fingerprint: str
    """BLAKE2 of the file's bytes, 32 hex digits."""
    is_transparent: bool
    is_repaired: bool
    notes: tuple[str, ...]
    measures: Measures

    def to_json(self) -> dict[str, Any]:
        return {**field_values(self), "measures": field_values(self.measures)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PictureFacts:
        """Read what `to_json` wrote; KeyError or TypeError where it is something else."""
        return cls(**{**value, "notes": tuple(value["notes"]), "measures": Measures(**value["measures"])})


def inspect_picture(path: Path, background: str = WHITE) -> PictureFacts:
    """Decode a picture once, completely, and measure it as it looks on `background`.

    Raises:
        UnreadableFile: empty, truncated, not a picture, or too large.
    """
    data = read_regular_file(path, MOST_BYTES)
    found = decode(path, data)
    return PictureFacts(
        width=found.picture.width,
        height=found.picture.height,
        fingerprint=bytes_digest(data),
        is_transparent=found.picture.mode == "RGBA",
        is_repaired=found.is_repaired,
        notes=found.notes,
        measures=measure(_on_background(found.picture, background)),
    )


def open_picture(path: Path, background: str = WHITE) -> Image.Image:
    """The picture as RGB: upright, sRGB, transparency on `background`, 16-bit grey scaled to 8, first frame of an
    animation.

    Raises:
        UnreadableFile: as `inspect_picture`.
    """
    return _on_background(decode(path, read_regular_file(path, MOST_BYTES)).picture, background)


def training_pixels(image: DatasetImage) -> Image.Image:
    """What training sees of a picture: its crop (all of it if none is set) at its bucket's size, RGB.

    A picture without a bucket keeps the size of its crop; where a crop reaches outside, the background fills it.

    Raises:
        UnreadableFile: the file broke since the dataset was read.
        TrainingError: the file was changed since the dataset was read.
    """
    background = image.background or WHITE
    picture = _on_background(_unchanged(image.path, image.fingerprint), background)
    return _cut_out(picture, image.crop, image.bucket, background)


def training_mask(image: DatasetImage) -> Image.Image | None:
    """The mask that belongs to `training_pixels`, "L" at the same size, 255 on the subject; None without a mask.

    Raises:
        UnreadableFile, TrainingError: as `training_pixels`, of the mask's file.
    """
    if image.mask is None:
        return None
    return _cut_out(open_mask(image), image.crop, image.bucket, 0)


def open_mask(image: DatasetImage) -> Image.Image:
    """The whole mask of a picture that has one, "L" at the picture's own size.

    Raises:
        UnreadableFile, TrainingError: as `training_mask`.
    """
    mask = _unchanged(image.mask.path, image.mask.fingerprint)
    if image.mask.is_transparency:
        mask = mask.getchannel("A") if mask.mode == "RGBA" else Image.new("L", mask.size, 255)
    else:
        mask = _on_background(mask, "#000000").convert("L")
    size = (image.width, image.height)
    return mask if mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)


def _unchanged(path: Path, fingerprint: str) -> Image.Image:
    """The picture of a file that must still have the bytes that the dataset was made of."""
    data = read_regular_file(path, MOST_BYTES)
    if bytes_digest(data) != fingerprint:
        raise TrainingError(f"{path} has changed since the dataset was read. Load the dataset again.")
    return decode(path, data).picture


def _cut_out(
    picture: Image.Image, crop: CropBox | None, bucket: tuple[int, int] | None, outside: str | int
) -> Image.Image:
    """The crop at the bucket's size, of a picture or of a mask ("L"); `outside` fills what lies beyond its edges."""
    if crop:
        box = (crop.left, crop.top, crop.right, crop.bottom)
        is_inside = crop.left >= 0 and crop.top >= 0 and crop.right <= picture.width and crop.bottom <= picture.height
        picture = picture.crop(box) if is_inside else _padded(picture, crop, outside)
    if bucket is None or picture.size == bucket:
        return picture
    if picture.mode == "L":  # LANCZOS would draw faint rings around a mask's edges
        return picture.resize(bucket, Image.Resampling.BILINEAR)
    return picture.resize(bucket, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _padded(picture: Image.Image, crop: CropBox, outside: str | int) -> Image.Image:
    canvas = Image.new(picture.mode, (crop.width, crop.height), outside)
    canvas.paste(picture, (-crop.left, -crop.top))
    return canvas


def _on_background(picture: Image.Image, background: str) -> Image.Image:
    """The colour hidden under full transparency is arbitrary (often black or magenta) and must not be learned."""
    if picture.mode == "RGB":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, background), picture).convert("RGB")
