"""Contact sheets: labelled pictures on a dark ground, for proofs, previews and before-and-after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (24, 25, 28)
INK = (228, 230, 234)
FAINT_INK = (150, 154, 162)
_MOST_TITLE_LINES = 3
_ELLIPSIS = "…"
_LAST_LATIN = "\u024f"
_LATIN_SIGNS = "–—‘’“”…"
_WORLD_FONTS = ("msyh.ttc", "PingFang.ttc", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "DejaVuSans.ttf")


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
            _write(pen, x, y + cell + gap // 2 + number * line, _cut(text, cell, cell), colour, cell)
    if note:
        note = _cut(note, sheet.width - 2 * gap, cell)
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
    pen.text((x, y), text, colour, _font(text, cell))


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
    """Words in lines of at most `width` pixels; at most three lines, the last one cut if there is more."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or _text_width(longer, cell) <= width or len(lines) == _MOST_TITLE_LINES:
            lines[-1] = longer
        else:
            lines.append(word)
    return [_cut(line, width, cell, share_of_end=0) for line in lines]


def _cut(text: str, width: int, cell: int, share_of_end: float = 0.5) -> str:
    """`text` on one line of `width` pixels. What is too long loses its middle, as both ends tell file names
    apart, or with `share_of_end` 0 its end."""
    text = " ".join(text.split())
    if _text_width(text, cell) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        at_end = int(kept * share_of_end)
        shorter = text[: kept - at_end].rstrip() + _ELLIPSIS + text[len(text) - at_end :].lstrip()
        if _text_width(shorter, cell) <= width:
            return shorter
    return _ELLIPSIS


def _text_width(text: str, cell: int) -> int:
    return math.ceil(_font(text, cell).getlength(text))


def _gap(cell: int) -> int:
    return max(8, cell // 12)


def _line_height(cell: int) -> int:
    return round(_font_size(cell) * 1.4)


def _font_size(cell: int) -> int:
    return max(11, min(20, cell // 14))


def _font(text: str, cell: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    is_latin = all(letter <= _LAST_LATIN or letter in _LATIN_SIGNS for letter in text)
    return _latin_font(_font_size(cell)) if is_latin else _world_font(_font_size(cell))


@cache
def _latin_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@cache
def _world_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of the system that knows Chinese, Japanese and Korean; Pillow's own shows boxes for them."""
    for name in _WORLD_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return _latin_font(size)
