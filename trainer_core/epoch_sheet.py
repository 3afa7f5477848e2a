"""The epoch sheet: every prompt, at every strength, as the base model and each kept epoch draw it, on one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from .errors import TrainingError
from .lettering import font_for, text_width, wrap
from .picture_request import PictureRequest
from .sheets import BACKGROUND, FAINT_INK, INK, fitted_size

_MOST_PIXELS = 8192
"""Of the sheet's longer side: 50 epochs are shown smaller, and memory stays below 200 MB."""
_SMALLEST_CELL = 32
_EMPTY, _LINE = (34, 35, 39), (58, 60, 66)


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetColumn:
    """One state of the LoRA."""

    title: str
    """ "base model" or "epoch 4"."""
    facts: tuple[str, ...]
    """Short lines under the column, such as "step 1,200" and "loss 0.0813"."""
    lora: Path | None
    """None for the bare base model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetRow:
    """One prompt at one strength."""

    request: PictureRequest
    strength: float


def cell_size(columns: int, rows: int, cell: int) -> int:
    """`cell`, or less where the sheet would be larger than is sensible."""
    room = _MOST_PIXELS / (1.09 * (max(columns, rows) + 3))
    return max(_SMALLEST_CELL, min(cell, int(room)))


def epoch_sheet(
    columns: Sequence[SheetColumn],
    rows: Sequence[SheetRow],
    pictures: Mapping[tuple[int, int], Image.Image],
    *,
    cell: int = 256,
) -> Image.Image:
    """Prompts and strengths downwards, the base model and the epochs across.

    Args:
        pictures: by (row, column); those that are not there yet are left as empty places.
        cell: pixels of a side that each picture is fitted into; less for many epochs, so that no side of the sheet
            is longer than about 8000 pixels.

    Raises:
        TrainingError: no columns or no rows.
    """
    if not columns or not rows:
        raise TrainingError("there is nothing to show on the epoch sheet. Give at least one prompt and one epoch.")
    layout = _Layout.of(columns, rows, cell)
    sheet = Image.new("RGB", layout.size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    _write_column_texts(pen, layout, columns)
    _write_row_texts(pen, layout, rows)
    for row in range(len(rows)):
        for column in range(len(columns)):
            x, y = layout.x(column), layout.y[row]
            if (row, column) not in pictures:
                pen.rectangle((x, y, x + layout.cell - 1, y + layout.cell - 1), fill=_EMPTY)
                continue
            picture = fitted(pictures[row, column], layout.cell)
            sheet.paste(picture, (x + (layout.cell - picture.width) // 2, y + (layout.cell - picture.height) // 2))
    return sheet


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """Where everything is, in pixels."""

    cell: int
    gap: int
    large: int
    """Size of titles: large enough to be read when the sheet is shown as a thumbnail."""
    medium: int
    """Of prompts and strengths."""
    small: int
    left: int
    """Where the first picture begins."""
    y: tuple[int, ...]
    """Upper edge of every row."""
    size: tuple[int, int]

    @classmethod
    def of(cls, columns: Sequence[SheetColumn], rows: Sequence[SheetRow], cell: int) -> _Layout:
        cell = cell_size(len(columns), len(rows), cell)
        gap, large, medium, small = max(3, cell // 32), max(9, cell // 7), max(9, cell // 9), max(8, cell // 11)
        prompts = [_begins_prompt(rows, row) for row in range(len(rows))]
        left = round(1.4 * cell) + 4 * gap
        edges, y = [], 2 * gap + _line(large)
        for begins in prompts:
            y += 2 * gap if begins and edges else 0
            edges.append(y)
            y += cell + gap
        facts = max(len(column.facts) for column in columns)
        width = left + len(columns) * (cell + gap) + gap
        return cls(
            cell=cell, gap=gap, large=large, medium=medium, small=small, left=left, y=tuple(edges),
            size=(width, y + facts * _line(small) + gap),
        )  # fmt: skip

    def x(self, column: int) -> int:
        return self.left + column * (self.cell + self.gap)


def _write_column_texts(pen: ImageDraw.ImageDraw, layout: _Layout, columns: Sequence[SheetColumn]) -> None:
    """Titles above, facts below, both centred."""
    bottom = layout.y[-1] + layout.cell + layout.gap
    for column, state in enumerate(columns):
        middle = layout.x(column) + layout.cell // 2
        _write_line(pen, state.title, middle, layout.gap, layout.large, INK, layout.cell)
        for number, fact in enumerate(state.facts):
            _write_line(pen, fact, middle, bottom + number * _line(layout.small), layout.small, FAINT_INK, layout.cell)


def _write_line(
    pen: ImageDraw.ImageDraw, text: str, middle: int, y: int, size: int, colour: tuple[int, int, int], width: int
) -> None:
    """One centred line, smaller where it would not fit."""
    while size > 8 and text_width(text, size) > width:
        size -= 1
    pen.text((middle, y), text, colour, font_for(text, size), anchor="ma")


def _write_row_texts(pen: ImageDraw.ImageDraw, layout: _Layout, rows: Sequence[SheetRow]) -> None:
    """The prompt beside its first row, and every row's strength under it where they differ."""
    has_strengths = len({row.strength for row in rows}) > 1
    width = layout.left - 4 * layout.gap
    for row, wish in enumerate(rows):
        y, size = layout.y[row], layout.medium
        if _begins_prompt(rows, row):
            if row:
                line = y - round(1.5 * layout.gap)
                pen.line((2 * layout.gap, line, layout.size[0] - 2 * layout.gap, line), _LINE)
            room = layout.cell - (_line(layout.medium) if has_strengths else 0)
            lines = wrap(wish.request.prompt, width, size, most_lines=max(1, room // _line(size)))
            for number, text in enumerate(lines):
                pen.text((2 * layout.gap, y + number * _line(size)), text, INK, font_for(text, size))
        if has_strengths:
            strength = f"strength {wish.strength:g}"
            place = (layout.left - 2 * layout.gap, y + layout.cell)
            pen.text(place, strength, FAINT_INK, font_for(strength, layout.medium), anchor="rd")


def _begins_prompt(rows: Sequence[SheetRow], row: int) -> bool:
    return row == 0 or rows[row].request != rows[row - 1].request


def _line(size: int) -> int:
    return round(1.4 * size)


def fitted(picture: Image.Image, cell: int) -> Image.Image:
    """As large as fits into a square of `cell` pixels; tiny pictures in hard squares, which say more than a blur."""
    is_pixel_art = max(picture.size) * 2 <= cell
    resample = Image.Resampling.NEAREST if is_pixel_art else Image.Resampling.LANCZOS
    size = fitted_size(*picture.size, cell)
    return picture.convert("RGB").resize(size, resample, reducing_gap=None if is_pixel_art else 3.0)
