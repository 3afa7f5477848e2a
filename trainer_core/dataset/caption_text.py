"""The words of a caption file: decoded, cleaned, and put together as its tags and sentences want it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .caption_encoding import decode_text

CAPTION_BYTES = 64 * 1024
"""A text encoder reads a few hundred words; what lies beyond this in a file is not read."""
_SENTENCE_WORDS = 5
"""Words from comma to comma, on average, from which on a line is running text and not a list of tags."""

# Line ends are not among them, nor the joiners that hold emoji, Persian and Indian letters together.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)
_EMPTY_TAGS = re.compile(r" ?,(?: ?,)+ ?")
# A comma inside brackets belongs to their tag, one before three digits to a number. Brackets that never close
# are smileys such as ":(" and hold nothing together.
_TAG = re.compile(
    r"(?: [^,()\[\]{}\\]++ | \\. | \((?:[^()\\]++|\\.)*+\) | \[(?:[^\[\]\\]++|\\.)*+\] | \{(?:[^{}\\]++|\\.)*+\}"
    r"  | (?<=\d),(?=\d{3}(?![^\W_])) | [^,] )+",
    re.VERBOSE,
)
_UNDERSCORED = re.compile(r"\b(?!(?:score|rating|source)_)[A-Za-z]{2,}_[A-Za-z]{2}")
_SPACED = re.compile(r"[A-Za-z]{2} [A-Za-z]{2}")
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_FULL_STOP = re.compile(r"\w[.。][\"'”’)]*$")
_OTHER_END = re.compile(r"[!?！？…:;][\"'”’)]*$")
_NEXT_SENTENCE = re.compile(r"[a-z][.!?] [A-Z]")


@dataclass(frozen=True, slots=True)
class CaptionText:
    """What a caption file says."""

    lines: tuple[str, ...]
    """Its lines without the empty ones, each clean in itself; none if the file holds no words."""
    notes: tuple[str, ...] = ()
    """What had to be repaired and what looks like a mistake, a few words each."""

    @property
    def joined(self) -> str:
        """The whole text."""
        return join_lines(self.lines)


def read_caption(data: bytes, path: Path) -> CaptionText:
    """The words in the bytes of a caption file, of which the first 64 KB are read.

    Raises:
        UnreadableFile: not text, or text whose encoding cannot be told for certain.
    """
    text, note = decode_text(data[:CAPTION_BYTES], path, is_cut=len(data) > CAPTION_BYTES)
    caption = clean_caption(text, is_cut=len(data) > CAPTION_BYTES)
    return CaptionText(caption.lines, (note, *caption.notes)) if note else caption


def clean_caption(text: str, is_cut: bool = False) -> CaptionText:
    """Text as it should be trained: no invisible characters, single spaces, no empty and no repeated tags.

    Tags are the same when they differ only in case or in `_` for a space; the first spelling stays. Sentences
    come through whole. `is_cut` says that `text` is only a beginning; it then ends with its last whole tag.
    """
    notes = []
    if is_cut or len(text) > CAPTION_BYTES:
        text = _up_to_a_separator(text[:CAPTION_BYTES])
        notes.append("longer than 64 KB; only its beginning is read")
    visible = _INVISIBLE.sub("", text)
    if visible != text:
        notes.append("invisible characters removed")
    lines = [_parsed(line) for line in visible.splitlines()]
    unique = [_without_repeats(line, set()) for line in lines]
    if unique != lines:
        notes.append("repeated tags left out")
    return CaptionText(tuple(line.text for line in unique if line.text), (*notes, *_likely_mistakes(unique)))


def join_lines(lines: Sequence[str]) -> str:
    """The lines of a caption as one text, without the tags that an earlier line has.

    Between two lines stands a space where the first ends a sentence, or where both are running text and the
    second does not begin with a capital; everywhere else a comma. A line is running text if it has five words or
    more from comma to comma, on average, or holds sentences.
    """
    parts: list[str] = []
    previous, seen = None, set()
    for line in map(_parsed, lines):
        line = _without_repeats(line, seen)
        if line.text:
            parts += [_between(previous, line), line.text] if previous else [line.text]
            previous = line
    return "".join(parts)


class _Line(NamedTuple):
    text: str
    tags: tuple[str, ...]
    """The parts between its commas."""
    is_running: bool
    """Whether it is running text, whose parts mean nothing by themselves."""


def _up_to_a_separator(text: str) -> str:
    """Without the tag or word that the cut went through, if a separator is near."""
    near = max(len(text) - 1000, 0)
    end = max(text.rfind(mark, near) for mark in ",\n，、。") + 1 or text.rfind(" ", near)
    return text[:end] if end > 0 else text


def _parsed(line: str) -> _Line:
    """One line with single spaces and no empty tags; a list of tags also with a space after each comma."""
    line = _EMPTY_TAGS.sub(", ", " ".join(line.split())).strip(" ,，、")
    tags = tuple(tag for part in _TAG.findall(line) if (tag := part.strip()))
    return _Line(line, tags, True) if _is_running_text(line, tags) else _Line(", ".join(tags), tags, False)


def _is_running_text(line: str, tags: Sequence[str]) -> bool:
    if line.isascii() and line.count(" ") < _SENTENCE_WORDS - 2:
        return False
    words = [_word_count(tag) for tag in tags]
    if sum(words) >= _SENTENCE_WORDS * max(len(words), 1):
        return True
    return max(words, default=0) >= _SENTENCE_WORDS - 1 and bool(_FULL_STOP.search(line) or _NEXT_SENTENCE.search(line))


def _word_count(text: str) -> float:
    """Words by the spaces between them; Chinese and Japanese have none, and about two characters to a word."""
    ideographs = 0 if text.isascii() else len(_IDEOGRAPH.findall(text))
    return ideographs / 2 if ideographs else text.count(" ") + 1


def _without_repeats(line: _Line, seen: set[str]) -> _Line:
    """The line without the tags in `seen`, to which its own are added; running text as it is."""
    if line.is_running:
        return line
    kept = []
    for tag in line.tags:
        same = " ".join(tag.replace("_", " ").casefold().split()) or tag
        # BREAK is no tag: it starts the next chunk of tokens, and may do so again and again.
        if same not in seen or tag == "BREAK":
            kept.append(tag)
        seen.add(same)
    return _Line(", ".join(kept), tuple(kept), False)


def _between(previous: _Line, following: _Line) -> str:
    if _FULL_STOP.search(previous.text) or (previous.is_running and _OTHER_END.search(previous.text)):
        return " "
    return " " if previous.is_running and following.is_running and not following.text[0].isupper() else ", "


def _likely_mistakes(lines: Sequence[_Line]) -> list[str]:
    mistakes = []
    if any("<lora:" in line.text.lower() for line in lines):
        mistakes.append("<lora:...> loads nothing in training; it is read as words")
    tags = [tag for line in lines if not line.is_running for tag in line.tags]
    if any(map(_UNDERSCORED.search, tags)) and any(map(_SPACED.search, tags)):
        mistakes.append("some tags are written with _ and some with spaces; prompts must match each")
    return mistakes
