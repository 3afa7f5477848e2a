"""Captions as lists of tags: split, compared, found, replaced, added. A sentence is one long tag and stays whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

_SENTENCE_WORDS = 5
"""A tag of this many words is taken for prose."""
_SHORT = 80
"""Characters. Longer parts of captions are sentences, which do not come again: remembering them only fills memory."""
_REMEMBERED = 50_000

_COMMA = re.compile(r"(?<!\d),|,(?!\d{3}(?!\d))")  # the comma of "1,000 birds" separates nothing
_LAST_STOP = re.compile(r"[.。]+$")
_ESCAPED_BRACKET = re.compile(r"\\([()])")
_WORD = re.compile(r"[^\W\d_]{2}")


def split_tags(caption: str) -> list[str]:
    """The parts between the commas, trimmed, without empty ones; their order and spelling are kept."""
    parts = _COMMA.split(caption) if "," in caption else [caption]  # most are single tags, and many
    return [tag for part in parts if (tag := part.strip())]


def join_tags(tags: Iterable[str]) -> str:
    return ", ".join(tags)


def plain_tag(tag: str) -> str:
    """The form for comparing tags: `Long_Hair` is `long hair`, `saber \\(fate\\)` is `saber (fate)`."""
    return _plain_short(tag) if len(tag) <= _SHORT else _plain(tag)


def unescaped(caption: str) -> str:
    """`saber \\(fate\\)` as `saber (fate)`. Brackets are escaped in prompts, where bare ones are weights; what the
    text encoder gets from such a prompt, and so has to get in training, is the bare ones."""
    return _ESCAPED_BRACKET.sub(r"\1", caption)


def shown_tag(tag: str, underscores: bool) -> str:
    """A tagger's tag as captions have it: `long_hair`, or without `underscores` `long hair`. Smileys, which are short
    or hold no word, keep theirs: `^_^`, `(o)_(o)`."""
    tag = unescaped(tag)
    return tag if underscores or len(tag) <= 3 or not _WORD.search(tag) else tag.replace("_", " ")


def is_sentence(caption: str) -> bool:
    """Whether a caption is prose: five words from comma to comma on average, or a full stop after four."""
    parts = split_tags(caption)
    words = [len(part.split()) for part in parts]
    if not parts or sum(words) >= _SENTENCE_WORDS * len(parts):
        return bool(parts)
    return max(words) >= _SENTENCE_WORDS - 1 and _LAST_STOP.search(parts[-1]) is not None


def with_replaced(tags: Sequence[str], replacements: Mapping[str, str]) -> list[str]:
    """`tags` with new ones in the place of some, all at once; `replacements` go from plain tags to captions.

    A new tag that stands elsewhere already is not repeated.
    """
    if not any(plain_tag(tag) in replacements for tag in tags):
        return list(tags)
    have = {plain for tag in tags if (plain := plain_tag(tag)) not in replacements}
    result = []
    for tag in tags:
        new = replacements.get(plain_tag(tag))
        result += [tag] if new is None else _taken_up(split_tags(new), have)
    return result


def with_added(tags: Sequence[str], new: Iterable[str]) -> list[str]:
    """`tags` and, at the end, those of `new` that are not among them, each once; an entry may hold several."""
    new = [tag for entry in new for tag in split_tags(entry)]
    if not new:
        return list(tags)
    added = _taken_up(new, {plain_tag(tag) for tag in tags})
    if added and tags:  # a full stop in mid-caption would end the sentence early
        tags = [*tags[:-1], _LAST_STOP.sub("", tags[-1]) or tags[-1]]
    return [*tags, *added]


def says(caption: str, word: str) -> bool:
    """Whether `word` stands in a caption, as a tag or within one, whatever its spelling."""
    return _find(caption, word) is not None


def lead_with(caption: str, trigger_words: Sequence[str]) -> str:
    """`caption` with the trigger words as its first tags, each once.

    A caption that begins with a trigger word, or whose first tag is a sentence that says it, is not given it
    again.
    """
    for trigger in reversed(trigger_words):
        plain = plain_tag(trigger)
        others = [tag for tag in split_tags(caption) if plain_tag(tag) != plain]
        is_said = bool(others) and _leads(others[0], trigger)
        caption = join_tags(others if is_said else [trigger, *others])
    return caption


def merged_words(known: Sequence[str], new: Iterable[str]) -> tuple[str, ...]:
    """The known words, then those of the new ones that are not among them."""
    return (*known, *_taken_up(new, {plain_tag(word) for word in known}))


class TagPatterns:
    """Tags to look for: `*` stands for anything; case, `_` for a space and backslashes do not matter."""

    def __init__(self, patterns: Iterable[str]) -> None:
        plain = {plain_tag(pattern) for pattern in patterns} - {""}
        self._names = {pattern for pattern in plain if "*" not in pattern}
        # Only * is a wildcard: booru tags such as ":?" and "[o]" mean their brackets and question marks.
        wild = (".*".join(map(re.escape, pattern.split("*"))) for pattern in sorted(plain - self._names))
        self._wild = re.compile("|".join(wild) or r"(?!)", re.DOTALL)

    def match(self, tag: str) -> bool:
        plain = plain_tag(tag)
        return plain in self._names or self._wild.fullmatch(plain) is not None


def _plain(tag: str) -> str:
    return " ".join(tag.replace("_", " ").replace("\\", "").casefold().split())


_plain_short = lru_cache(_REMEMBERED)(_plain)


def _taken_up(new: Iterable[str], have: set[str]) -> list[str]:
    """Those of `new` that are not in `have`, a set of plain tags to which they are added."""
    taken = []
    for tag in new:
        if (plain := plain_tag(tag)) not in have:
            have.add(plain)
            taken.append(tag)
    return taken


def _leads(tag: str, trigger: str) -> bool:
    found = _find(tag, trigger)
    return found is not None and (found.start() == 0 or len(tag.split()) >= _SENTENCE_WORDS)


def _find(caption: str, word: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(plain_tag(word))}(?!\w)", plain_tag(caption))
