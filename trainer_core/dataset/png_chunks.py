"""The chunks of a PNG: which are sound, and which the decoder need not see."""

from __future__ import annotations

import struct
import zlib

PNG_START = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_AROUND_DATA = 12
"""Bytes of a chunk besides its data: length, kind, checksum."""


def checked_png(data: bytes) -> tuple[bytes, bool]:
    """A PNG without its text chunks, and whether it goes on to its end mark.

    Nothing here reads the text, and Pillow refuses files whose text unpacks to megabytes. It also passes over the
    checksums of pixel data and over a missing end.

    Raises:
        ValueError: a chunk that the picture needs does not match its checksum.
    """
    kept, place, is_whole, has_text = [PNG_START], len(PNG_START), False, False
    while not is_whole and place + _AROUND_DATA <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + _AROUND_DATA + length
        if end > len(data):
            break
        chunk = memoryview(data)[place:end]
        is_needed = kind[:1].isupper()
        if is_needed and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} part is wrong")
        if kind in _TEXT:
            has_text = True
        else:
            kept.append(chunk)
        is_whole, place = kind == b"IEND", end
    return (b"".join([*kept, data[place:]]) if has_text else data), is_whole
