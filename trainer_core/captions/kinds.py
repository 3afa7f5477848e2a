"""What kind of thing a tag names: hair, clothes, a pose. By words, for tags as Danbooru has them."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

from .kind_words import ACTIONS, LAST, LIMBS, OTHER, PLACES, WHOLE
from .tags import plain_tag

Kind = Literal["hair", "eyes", "body", "clothes", "pose", "background", "other"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MOST_WORDS = 6
_PROSE = frozenset(("a", "an", "the", "is", "are", "and", "his", "her", "their"))


def _entries(words: str) -> frozenset[str]:
    return frozenset(plain_tag(word) for word in words.split())


def _by_entry(table: dict[Kind, str]) -> dict[str, Kind]:
    return {entry: kind for kind, words in table.items() for entry in _entries(words)}


_WHOLE, _LAST = _by_entry(WHOLE), _by_entry(LAST)
_ACTIONS, _LIMBS, _PLACES, _OTHER = map(_entries, (ACTIONS, LIMBS, PLACES, OTHER))
_SHORTEST_END = 4
"""Letters of a compound's last part: "grass" does not end in "ass"."""


def kind_of(tag: str) -> Kind:
    """The kind of a tag in any spelling; "other" for what the table does not know, and for sentences."""
    return _kind_of_plain(plain_tag(tag))


@lru_cache(50_000)
def _kind_of_plain(tag: str) -> Kind:
    if kind := _WHOLE.get(tag):
        return kind
    words = tag.partition(" (")[0].split()  # without "(symbol)", "(fate)"
    if not words or len(words) > _MOST_WORDS:
        return "other"
    if words[0] in _ACTIONS:
        return "pose"
    if not _PROSE.isdisjoint(words):
        return "other"
    place = next((i for i, word in enumerate(words) if word in _PLACES), None)
    if place == 0:
        return "pose"  # "on bed", "from behind"
    if place is not None and _is_known(words[place - 1], _LIMBS):
        return "pose"  # "hand on own hip"
    return _kind_of_thing(words[:place][-1])


def _kind_of_thing(word: str) -> Kind:
    """By the whole word, else by the longest end that the table knows; "smoking" is something one does."""
    for form in _singular_forms(word):
        if form in _OTHER:
            return "other"
        if kind := _LAST.get(form):
            return kind
    if word.endswith("ing"):
        return "pose"
    ends = (form for start in range(1, len(word)) for form in _singular_forms(word[start:]))
    return next((_LAST[end] for end in ends if len(end) >= _SHORTEST_END and end in _LAST), "other")


def _is_known(word: str, words: frozenset[str]) -> bool:
    return not words.isdisjoint(_singular_forms(word))


def _singular_forms(word: str) -> tuple[str, ...]:
    return (word, *(word.removesuffix(ending) for ending in ("s", "es") if word.endswith(ending)))
