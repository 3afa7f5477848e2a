"""Contact sheets: labelled pictures on a dark ground, for proofs, previews and before-and-after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .lettering import cut, font_for, text_width, wrap

BACKGROUND = (24, 25, 28)
INK = (228, 230, 234)
FAINT_INK = (150, 154, 162)
_MOST_TITLE_LINES = 3


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture with lines of text below it: the first one bright, the others fainter."""

    picture: Image.Image
    lines: tuple[str, ...]


def captioned_sheet(tiles: Sequence[Tile], *, columns: int, cell: int, note: str = "") -> Image.Image:
    """Tiles in rows of `columns`, each in a square of `cell` pixels, with a faint note under the last row."""
    gap, line = _gap(cell), _line_height(cell)
    text_lines = max((len(tile.lines) for tile in tiles), default=0)
    pitch_x, pitch_y = cell + gap, cell + gap + (text_lines * line + gap // 2 if text_lines else 0)
    rows = math.ceil(len(tiles) / columns)
    footer = line + gap // 2 if note else 0
    sheet = Image.new("RGB", (columns * pitch_x + gap, rows * pitch_y + gap + footer), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        x, y = gap + index % columns * pitch_x, gap + index // columns * pitch_y
        _paste_fitted(sheet, tile.picture, x, y, cell)
        for number, text in enumerate(tile.lines):
            colour = INK if number == 0 else FAINT_INK
            _write(pen, x, y + cell + gap // 2 + number * line, cut(text, cell, _font_size(cell)), colour, cell)
    if note:
        note = cut(note, sheet.width - 2 * gap, _font_size(cell))
        _write(pen, gap, sheet.height - gap - line, note, FAINT_INK, cell)
    return sheet


def picture_grid(
    rows: Sequence[Sequence[Image.Image]],
    column_titles: Sequence[str],
    row_titles: Sequence[str],
    cell: int = 256,
) -> Image.Image:
    """Pictures in a table with titles above the columns and left of the rows, each fitted into a `cell`
    square.

    Titles wrap, and end in an ellipsis after three lines. Rows may differ in length; either list of titles
    may be empty.
    """
    gap, line = _gap(cell), _line_height(cell)
    above = [_wrapped(title, cell, cell) for title in column_titles]
    beside_width = min(cell, max((_text_width(title, cell) for title in row_titles), default=0))
    beside = [_wrapped(title, beside_width, cell) for title in row_titles]
    left = gap + (beside_width + gap if beside_width else 0)
    top = gap + (max(map(len, above)) * line + gap // 2 if above else 0)
    columns = max([len(above), *map(len, rows)])
    size = (left + columns * (cell + gap), top + max(len(rows), len(beside)) * (cell + gap))
    sheet = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    _write_column_titles(pen, above, left, top, cell)
    _write_row_titles(pen, beside, top, cell)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            _paste_fitted(sheet, picture, left + column * (cell + gap), top + row * (cell + gap), cell)
    return sheet


def fitted_size(width: int, height: int, cell: int) -> tuple[int, int]:
    """The size of a width x height picture scaled, up or down, to just fit into a square of `cell` pixels."""
    scale = cell / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _paste_fitted(sheet: Image.Image, picture: Image.Image, x: int, y: int, cell: int) -> None:
    size = fitted_size(*picture.size, cell)
    is_pixel_art = max(picture.size) * 2 <= cell  # tiny pictures: hard squares say more than a blur
    resample = Image.Resampling.NEAREST if is_pixel_art else Image.Resampling.LANCZOS
    fitted = picture.convert("RGB").resize(size, resample, reducing_gap=None if is_pixel_art else 3.0)
    sheet.paste(fitted, (x + (cell - size[0]) // 2, y + (cell - size[1]) // 2))


def _write(pen: ImageDraw.ImageDraw, x: int, y: int, text: str, colour: tuple, cell: int) -> None:
    pen.text((x, y), text, colour, font_for(text, _font_size(cell)))


def _write_column_titles(pen: ImageDraw.ImageDraw, titles: list[list[str]], left: int, top: int, cell: int) -> None:
    """Centred over their columns, standing on the pictures: short titles at the bottom, not the top."""
    gap, line = _gap(cell), _line_height(cell)
    for column, lines in enumerate(titles):
        x, y = left + column * (cell + gap), top - gap // 2 - len(lines) * line
        for number, text in enumerate(lines):
            indent = (cell - _text_width(text, cell)) // 2
            _write(pen, x + indent, y + number * line, text, INK, cell)


def _write_row_titles(pen: ImageDraw.ImageDraw, titles: list[list[str]], top: int, cell: int) -> None:
    gap, line = _gap(cell), _line_height(cell)
    for row, lines in enumerate(titles):
        y = top + row * (cell + gap) + (cell - len(lines) * line) // 2
        for number, text in enumerate(lines):
            _write(pen, gap, y + number * line, text, INK, cell)


def _wrapped(text: str, width: int, cell: int) -> list[str]:
    return wrap(text, width, _font_size(cell), most_lines=_MOST_TITLE_LINES)


def _text_width(text: str, cell: int) -> int:
    return text_width(text, _font_size(cell))


def _gap(cell: int) -> int:
    return max(8, cell // 12)


def _line_height(cell: int) -> int:
    return round(_font_size(cell) * 1.4)


def _font_size(cell: int) -> int:
    return max(11, min(20, cell // 14))
