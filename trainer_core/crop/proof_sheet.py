"""The proof sheet: every crop on one picture, to be looked at before a night of training."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from ..dataset.opening import UnreadableFile
from ..dataset.pictures import open_picture
from ..dataset.types import WHITE, CropBox, Dataset, DatasetImage
from ..errors import TrainingError
from ..sheets import Tile, captioned_sheet, fitted_size

_FRAME = {
    "mask": (255, 196, 61), "boxes": (255, 196, 61), "face": (255, 196, 61), "focus": (255, 196, 61),
    "center": (120, 190, 255), "whole": (132, 214, 140), "override": (214, 140, 255),
}  # fmt: skip
_CUT_FRAME = (255, 92, 84)
"""Around a crop that cuts its subject."""
_PADDING = (58, 60, 66)
_SHADE = 0.28
"""How bright the cut part stays."""


def proof_sheet(dataset: Dataset, *, columns: int | None = None, cell: int = 192, limit: int = 64) -> Image.Image:
    """Each picture with its crop framed and the cut part dimmed; below it file name, method and bucket.

    `columns` None makes the sheet about square. At most `limit` pictures are drawn, `cell` pixels each; a
    note says how many more there are.

    Raises:
        TrainingError: no pictures, or a layout of less than one column, one picture or 64 pixels a cell.
    """
    if not dataset.images:
        raise TrainingError("there are no pictures to show. Load a folder first.")
    if (columns is not None and columns < 1) or cell < 64 or limit < 1:
        raise TrainingError(
            f"a proof sheet of {columns} columns, {cell} pixels a cell and {limit} pictures cannot be drawn. "
            "Give at least 1 column, 64 pixels and 1 picture."
        )
    shown = dataset.images[:limit]
    columns = columns or math.ceil(math.sqrt(len(shown)))
    hidden = len(dataset.images) - len(shown)
    note = f"and {hidden} more" if hidden else ""
    tiles = [Tile(_proof(image, cell), _lines(image)) for image in shown]
    return captioned_sheet(tiles, columns=min(columns, len(shown)), cell=cell, note=note)


def _proof(image: DatasetImage, cell: int) -> Image.Image:
    try:
        picture = open_picture(image.path, image.background or WHITE)
    except UnreadableFile:  # the sheet is there to show problems, so it shows this one as well
        return Image.new("RGB", (cell, cell), (70, 30, 34))
    picture = picture.resize(fitted_size(*picture.size, cell), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _framed(picture, image, image.crop) if image.crop else picture


def _framed(picture: Image.Image, image: DatasetImage, crop: CropBox) -> Image.Image:
    """The picture at `picture`'s scale, dimmed outside the crop; on a larger canvas where the crop is padded."""
    scale_x, scale_y = picture.width / image.width, picture.height / image.height
    left, right = round(crop.left * scale_x), round(crop.right * scale_x)
    top, bottom = round(crop.top * scale_y), round(crop.bottom * scale_y)
    proof = picture.point(lambda value: int(value * _SHADE))
    inside = (max(0, left), max(0, top), min(picture.width, right), min(picture.height, bottom))
    proof.paste(picture.crop(inside), inside[:2])
    x, y = max(0, -left), max(0, -top)
    if x or y or right > picture.width or bottom > picture.height:
        canvas = Image.new("RGB", (max(picture.width, right) + x, max(picture.height, bottom) + y), _PADDING)
        canvas.paste(proof, (x, y))
        proof = canvas
    colour = _CUT_FRAME if crop.cuts_subject else _FRAME[crop.method]
    ImageDraw.Draw(proof).rectangle((left + x, top + y, right + x - 1, bottom + y - 1), outline=colour, width=2)
    return proof


def _lines(image: DatasetImage) -> tuple[str, ...]:
    facts = [_method(image.crop)] if image.crop else [f"{image.width} x {image.height}", "not cropped"]
    if image.bucket:
        facts.append(f"{image.bucket[0]} x {image.bucket[1]}")
    if image.crop and image.bucket and image.bucket[0] > image.crop.width:
        facts.append(f"enlarged x{image.bucket[0] / image.crop.width:.2g}")
    if image.is_regularisation:
        facts.append("reg")
    return image.path.name, " · ".join(facts)


def _method(crop: CropBox) -> str:
    """What chose the crop, and how much of the subject it keeps where a subject is known."""
    return crop.method if crop.method in ("center", "whole", "override") else f"{crop.method} {crop.subject_kept:.0%}"
