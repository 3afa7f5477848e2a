"""A caption file's bytes -> its lines, cleaned of what no text encoder should read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .opening import UnreadableFile

CAPTION_BYTES = 64 * 1024
"""A text encoder reads a few hundred words; only the beginning of a larger file is read."""
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_SENTENCE_END = (".", "!", "?", "。", "！", "？")
_SENTENCE_WORDS = 6
"""Words without a comma from which a line is taken for prose."""


@dataclass(frozen=True, slots=True)
class CaptionText:
    """What a caption file says."""

    lines: tuple[str, ...]
    """Cleaned; none is empty."""
    notes: tuple[str, ...] = ()


def read_caption(data: bytes, path: Path) -> CaptionText:
    """Decode and clean a caption file.

    Raises:
        UnreadableFile: not text, or text in an encoding that cannot be told for sure.
    """
    notes = []
    if len(data) > CAPTION_BYTES:
        data, notes = _beginning(data), ["caption longer than 64 KB; only its beginning is read"]
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UnreadableFile(path, "not UTF-8 text; save it as UTF-8") from problem
    if _INVISIBLE.search(text.removeprefix("\ufeff")):
        notes.append("invisible characters taken out of the caption")
    lines = (clean_caption(line) for line in text.splitlines())
    return CaptionText(tuple(line for line in lines if line), tuple(notes))


def clean_caption(text: str) -> str:
    """One line: single spaces, no empty or repeated tags, no invisible characters."""
    text = re.sub(r"\s+", " ", _INVISIBLE.sub("", text)).strip(" ,")
    tags = {}
    for tag in re.split(r"\s*,\s+|\s*,(?=\D)|(?<=\D),\s*", text):
        if tag.strip(" ,"):
            tags.setdefault(" ".join(tag.replace("_", " ").casefold().split()), tag.strip(" ,"))
    return ", ".join(tags.values())


def join_lines(lines: Sequence[str]) -> str:
    """Several lines as one caption: sentences follow each other, tags are listed."""
    if not lines:
        return ""
    joined = lines[0]
    for line in lines[1:]:
        joined += f" {line}" if _is_prose(joined) else f", {line}"
    return joined if _is_prose(joined) else clean_caption(joined)


def _is_prose(text: str) -> bool:
    return text.endswith(_SENTENCE_END) or ("," not in text and len(text.split()) >= _SENTENCE_WORDS)


def _beginning(data: bytes) -> bytes:
    start = data[:CAPTION_BYTES]
    return start[: max(start.rfind(b","), start.rfind(b"\n"), start.rfind(b" ")) + 1 or len(start)]
