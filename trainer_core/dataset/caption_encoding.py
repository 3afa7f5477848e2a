"""Bytes -> text: Unicode as it is marked, older encodings only where one reading clearly wins."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from .known_encodings import COMMON_CHINESE, KNOWN_ENCODINGS, KnownEncoding, decoded, rated
from .opening import UnreadableFile

_SAMPLE_BYTES = 4 * 1024
"""From the first byte that is not ASCII; enough to tell encodings apart, and soon done."""
_CLEAR_LEAD = 6.0
"""Bits. The best reading must be 2^6 times likelier than the next one."""
_MOST_CONTROLS = 0.1
"""Share of a text's bytes. A caption may have caught a stray NUL; what is full of them is no text."""

_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_OTHER_KINDS = (
    (b"{\\rtf", "an RTF document, not plain text; save it as plain text"),
    (b"%pdf", "a PDF, not text"),
    (b"<!doctype html", "a web page, not text"),
    (b"<html", "a web page, not text"),
    (b"\x1b$", "ISO-2022 text; save it as UTF-8"),
)
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1a"))


def decode_text(data: bytes, path: Path, is_cut: bool = False) -> tuple[str, str]:
    """The text of a file, and a note where its encoding had to be told from its contents (else an empty one).

    `is_cut` says that `data` is the beginning of a longer file, which may end in the middle of a character.

    Raises:
        UnreadableFile: not text, or text whose encoding cannot be told for certain.
    """
    _refuse_other_kinds(data, path)
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return _decoded_as_marked(data, codec, path, is_cut), ""
    if codec := _unmarked_utf16(data):
        text, name = decoded(data, codec, is_cut), "UTF-16"
    else:
        text, name = _decoded_without_mark(data, path, is_cut)
    if text is None:
        raise UnreadableFile(path, "not UTF-8, and its encoding cannot be told for certain; save it as UTF-8")
    return text, f"read as {name}, not UTF-8; save it as UTF-8" if name else ""


def _refuse_other_kinds(data: bytes, path: Path) -> None:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, reason in _OTHER_KINDS:
        if start.startswith(beginning):
            raise UnreadableFile(path, reason)


def _decoded_as_marked(data: bytes, codec: str, path: Path, is_cut: bool) -> str:
    text = decoded(data, codec, is_cut)
    if text is None:
        raise UnreadableFile(path, f"damaged: it begins as {codec.removesuffix('-sig').upper()} but does not go on so")
    return text


def _unmarked_utf16(data: bytes) -> str:
    """UTF-16 of mostly Latin letters shows by every second byte being 0; empty for anything else."""
    first, second = data[::2].count(0), data[1::2].count(0)
    most = 0.6 * (len(data) // 2)
    if second > most and not first:
        return "utf-16-le"
    return "utf-16-be" if first > most and not second else ""


def _decoded_without_mark(data: bytes, path: Path, is_cut: bool) -> tuple[str | None, str]:
    """The text and, unless it is UTF-8, its encoding's name; no text where no reading clearly wins."""
    data = _whole_words(data) if is_cut else data
    controls = len(data) - len(data.translate(None, _CONTROLS))
    text = decoded(data, "utf-8", is_cut)
    if controls > (0 if text is None else max(4, _MOST_CONTROLS * len(data))):
        raise UnreadableFile(path, "not text")
    if text is not None and not _is_rather_chinese(data, text):
        return text, ""
    best = _clear_winner(data, is_cut)
    text = decoded(data, best.codec, is_cut) if best else None
    if text is None or not best.may_be(text):
        return None, ""
    return text, best.name


def _is_rather_chinese(data: bytes, text: str) -> bool:
    """Whether tags of a few Chinese characters happen to be valid UTF-8 too, as 女 is, whose bytes also mean Ů."""
    if text.isascii() or max(text) >= "\u0800":
        return False
    if any(not tag.isascii() and re.search("[A-Za-z]", tag) for tag in re.split("[,\n]", text)):
        return False
    chinese = decoded(data, "gb18030", is_cut=False) or "\ufffd"
    return all(character.isascii() or character in COMMON_CHINESE for character in chinese)


def _clear_winner(data: bytes, is_cut: bool) -> KnownEncoding | None:
    """The encoding whose reading is far likelier than every other one."""
    first = re.search(rb"[\x80-\xff]", data).start()
    rest = data[max(first - 16, 0) :]
    if len(rest) > _SAMPLE_BYTES:
        rest, is_cut = _whole_words(rest[:_SAMPLE_BYTES]), True
    ratings = [(rated(rest, encoding, is_cut), encoding) for encoding in KNOWN_ENCODINGS]
    (least, best), (next_least, _) = sorted(ratings, key=lambda rating: rating[0])[:2]
    return best if best.name and next_least - least >= _CLEAR_LEAD else None


def _whole_words(data: bytes) -> bytes:
    """Without the word a cut went through. These bytes are no part of other characters in any encoding rated."""
    near = max(len(data) - 1000, 0)
    return data[: max(data.rfind(mark, near) for mark in (b" ", b",", b"\n")) + 1] or data
