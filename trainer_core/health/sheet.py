"""The health sheet: every picture with what was noticed about it, worst first, on one picture."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ..dataset.opening import UnreadableFile
from ..dataset.pictures import open_picture
from ..dataset.types import WHITE, Dataset, DatasetImage
from ..dataset.wording import FileNames
from ..errors import TrainingError
from ..sheets import Tile, captioned_sheet, fitted_size
from .findings import LEVELS, Finding
from .report import HealthReport

_FRAMES = {"stop": (255, 92, 84), "warn": (255, 196, 61), "note": (120, 190, 255), "ok": (132, 214, 140)}
_KEY = "red: repair · yellow: look at it · blue: worth knowing · green: nothing found"
_UNREADABLE, _CROSS = (44, 34, 38), (110, 60, 66)
_MOST_LINES = 3
_LETTER_WIDTH = 7.2
"""Pixels of an average letter where a cell is 192 pixels wide."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one tile shows."""

    name: str
    image: DatasetImage | None
    """None for a file that was skipped."""
    labels: tuple[str, ...]
    """Worst first."""
    level: str
    """The worst one: one of LEVELS, or "ok"."""


def health_sheet(
    dataset: Dataset, report: HealthReport, *, columns: int | None = None, cell: int = 192, limit: int = 64
) -> Image.Image:
    """Each picture framed in the colour of its worst finding; below it file name and problems.

    Skipped files come after the pictures with problems, then those without. `columns` None makes the sheet about
    square. At most `limit` tiles are drawn, `cell` pixels each; a note says how many more there are.

    Raises:
        TrainingError: nothing to show, or a layout of less than one column, one picture or 64 pixels a cell.
    """
    everything = _worst_first(dataset, report)
    if not everything:
        raise TrainingError("there are no pictures to show. Load a folder first.")
    if (columns is not None and columns < 1) or cell < 64 or limit < 1:
        raise TrainingError(
            f"a health sheet of {columns} columns, {cell} pixels a cell and {limit} pictures cannot be drawn. "
            "Give at least 1 column, 64 pixels and 1 picture."
        )
    shown = everything[:limit]
    columns = min(columns or math.ceil(math.sqrt(len(shown))), len(shown))
    hidden = len(everything) - len(shown)
    note = f"and {hidden:,} more · {_KEY}" if hidden else _KEY
    return captioned_sheet([_tile(entry, cell) for entry in shown], columns=columns, cell=cell, note=note)


def _worst_first(dataset: Dataset, report: HealthReport) -> list[_Shown]:
    names, said = FileNames(dataset), _said_of_files(report.findings)
    pictures = [_shown(names.of(image.path), image, said) for image in dataset.images]
    skipped = [_shown(names.of(entry.path), None, said) for entry in dataset.skipped if entry.kind == "picture"]
    order = (*LEVELS, "skipped", "ok")

    def rank(entry: _Shown) -> tuple[int, int]:
        return order.index(entry.level if entry.image else "skipped"), -len(entry.labels)

    return sorted([*pictures, *skipped], key=rank)


def _said_of_files(findings: Sequence[Finding]) -> dict[str, list[tuple[str, str]]]:
    """(label, level) of each file, worst first as the findings are."""
    said = defaultdict(list)
    for finding in findings:
        for file, label in zip(finding.files, finding.labels, strict=True):
            said[file].append((label, finding.level))
    return said


def _shown(name: str, image: DatasetImage | None, said: dict[str, list[tuple[str, str]]]) -> _Shown:
    found = said.get(name, [])
    return _Shown(name, image, tuple(label for label, _ in found), found[0][1] if found else "ok")


def _tile(entry: _Shown, cell: int) -> Tile:
    return Tile(_framed(entry, cell), (entry.name, *_packed(entry.labels, int(cell / _LETTER_WIDTH))))


def _framed(entry: _Shown, cell: int) -> Image.Image:
    picture = _fitted(entry.image, cell)
    width = max(3, cell // 48)
    ImageDraw.Draw(picture).rectangle(
        (0, 0, picture.width - 1, picture.height - 1), outline=_FRAMES[entry.level], width=width
    )
    return picture


def _fitted(image: DatasetImage | None, cell: int) -> Image.Image:
    if image is None:
        return _crossed_out(cell)
    try:
        picture = open_picture(image.path, image.background or WHITE)
    except UnreadableFile:  # the sheet is there to show problems, so it shows this one as well
        return _crossed_out(cell)
    is_pixel_art = max(picture.size) * 2 <= cell
    resample = Image.Resampling.NEAREST if is_pixel_art else Image.Resampling.LANCZOS
    return picture.resize(fitted_size(*picture.size, cell), resample, reducing_gap=None if is_pixel_art else 3.0)


def _crossed_out(cell: int) -> Image.Image:
    """In place of a file that cannot be shown."""
    place = Image.new("RGB", (cell, cell // 2), _UNREADABLE)
    pen = ImageDraw.Draw(place)
    pen.line((0, 0, *place.size), _CROSS, width=2)
    pen.line((0, place.height, place.width, 0), _CROSS, width=2)
    return place


def _packed(labels: Sequence[str], width: int) -> list[str]:
    """Labels in as few lines as hold them, `width` letters each; at most three lines, the last one counts the rest."""
    lines: list[str] = []
    for index, label in enumerate(labels):
        longer = f"{lines[-1]} · {label}" if lines else label
        if lines and len(longer) <= width:
            lines[-1] = longer
        elif len(lines) < _MOST_LINES:
            lines.append(label)
        else:
            lines[-1] += f" +{len(labels) - index}"
            break
    return lines
