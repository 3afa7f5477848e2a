"""Text on pictures: a font for any language and size, and lines that fit."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_ELLIPSIS = "…"
_LAST_LATIN = "\u024f"
_LATIN_SIGNS = "–—‘’“”…"
_WORLD_FONTS = ("msyh.ttc", "PingFang.ttc", "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "DejaVuSans.ttf")


def font_for(text: str, size: int) -> Font:
    """A font of `size` pixels that has the signs of `text`: Pillow's own, or one of the system beyond Latin."""
    is_latin = all(letter <= _LAST_LATIN or letter in _LATIN_SIGNS for letter in text)
    return _latin_font(size) if is_latin else _world_font(size)


def text_width(text: str, size: int) -> int:
    """Width of a line in pixels."""
    return math.ceil(font_for(text, size).getlength(text))


def wrap(text: str, width: int, size: int, *, most_lines: int) -> list[str]:
    """Words in lines of at most `width` pixels; what is beyond `most_lines`, or longer than a line, ends in …"""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or len(lines) == most_lines or text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [cut(line, width, size, share_of_end=0) for line in lines]


def cut(text: str, width: int, size: int, share_of_end: float = 0.5) -> str:
    """`text` on one line of `width` pixels. What is too long loses its middle, as both ends tell file names
    apart, or with `share_of_end` 0 its end."""
    text = " ".join(text.split())
    if text_width(text, size) <= width:
        return text

    def shortened(kept: int) -> str:
        at_end = int(kept * share_of_end)
        return text[: kept - at_end].rstrip() + _ELLIPSIS + text[len(text) - at_end :].lstrip()

    too_many = bisect_right(range(len(text)), width, key=lambda kept: text_width(shortened(kept), size))
    return shortened(max(0, too_many - 1))


@cache
def _latin_font(size: int) -> Font:
    return ImageFont.load_default(size)


@cache
def _world_font(size: int) -> Font:
    """A font of the system that knows Chinese, Japanese and Korean; Pillow's own shows boxes for them."""
    for name in _WORLD_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return _latin_font(size)
