"""JPEGs whose end is missing: how much of the picture the file still holds."""

from __future__ import annotations

import io
import random
import re
import struct
from collections.abc import Iterator

from PIL import Image, ImageChops

_END = b"\xff\xd9"
_FILLING = random.Random(1).randbytes(4096).replace(b"\xff", b"\x00")
"""What follows the cut in the second decoding; without 0xff it holds no marker."""
_HOLE = bytes(16)
"""Downloads that reserve their space first end in zeros; no encoder writes this many."""
_COEFFICIENTS = 64
_NEXT_SEGMENT = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""A marker that is not part of entropy-coded data (there, 0xff is followed by 0x00 or a restart marker)."""
_FRAMES = (0xC0, 0xC1, 0xC2)
_SCAN = 0xDA


def readable_part(data: bytes) -> tuple[Image.Image, float] | None:
    """The rows of a JPEG that can be read although its end is missing, and their share of all rows, 0 to 1.

    A decoder goes on past the end of the data, and what it draws there depends on the bytes that it finds. So the
    file is decoded twice, with its end mark set right after the data and with other bytes between: rows are real as
    far down as both agree.

    Returns:
        None for what is no JPEG, cannot be decoded at all, or is a progressive one that lacks whole passes.
    """
    data = data.removesuffix(_END)
    if data.endswith(_HOLE):
        data = data.rstrip(b"\x00")
    data = data.rstrip(b"\xff")  # the first half of a mark, which would make a mark of what follows
    if not data.startswith(b"\xff\xd8") or not _has_all_passes(data):
        return None
    try:
        picture, other = _decoded(data + _END), _decoded(data + _FILLING + _END)
    except (OSError, ValueError, SyntaxError):
        return None
    difference = ImageChops.difference(picture, other).getbbox(alpha_only=False)
    rows = difference[1] if difference else picture.height
    return picture.crop((0, 0, picture.width, rows)), rows / picture.height


def ends_in_grey(picture: Image.Image) -> bool:
    """Whether the last row of a JPEG is the grey that decoders draw where data is missing.

    Programs that mend a cut file set a new end mark and leave the rest: such a file decodes without an error.
    """
    last = picture.crop((0, picture.height - 1, *picture.size))
    levels = last.getextrema()
    return all(low == high and 127 <= low <= 128 for low, high in (levels if len(last.getbands()) > 1 else [levels]))


def _decoded(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data), formats=["JPEG"])
    picture.load()
    return picture


def _has_all_passes(data: bytes) -> bool:
    """Whether the scans that have begun carry every coefficient of every component down to its last bit.

    A progressive JPEG that stops between two scans looks whole, only coarse (ITU T.81, G.1.1.1).
    """
    components: set[int] = set()
    refined: set[tuple[int, int]] = set()
    for marker, body in _segments(data):
        if marker in _FRAMES and len(body) > 5:
            components = set(body[6 : 6 + 3 * body[5] : 3])
        elif marker == _SCAN and body and len(body) >= 4 + 2 * body[0]:
            first, last, bits = body[1 + 2 * body[0] : 4 + 2 * body[0]]
            if bits & 15 == 0:
                named = body[1 : 1 + 2 * body[0] : 2]
                refined |= {(component, index) for component in named for index in range(first, last + 1)}
    return bool(components) and refined >= {(c, index) for c in components for index in range(_COEFFICIENTS)}


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of every segment of a JPEG up to its end mark, or to where the file ends."""
    place = 2
    while (found := _NEXT_SEGMENT.search(data, place)) and found.end() + 2 <= len(data):
        marker = found[1][0]
        if marker == _END[1]:
            return
        (length,) = struct.unpack_from(">H", data, found.end())
        yield marker, data[found.end() + 2 : found.end() + length]
        place = found.end() + length
