"""Captions edited as lists of tags; a sentence is one long tag and comes through whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from ..dataset.types import Dataset, DatasetImage

_SENTENCE_WORDS = 5
"""A tag of this many words is taken for prose."""


def split_tags(caption: str) -> list[str]:
    """The parts between the commas, trimmed, without empty ones; their order and spelling are kept."""
    return [tag for part in caption.split(",") if (tag := part.strip())]


def plain_tag(tag: str) -> str:
    """The form for comparing tags: `Long_Hair` is `long hair`, `saber \\(fate\\)` is `saber (fate)`."""
    return " ".join(tag.replace("_", " ").replace("\\", "").casefold().split())


def edit_captions(
    dataset: Dataset, *, trigger_word: str = "", remove_tags: Sequence[str] = (), add_tags: Sequence[str] = ()
) -> Dataset:
    """The dataset with its captions edited; the files on disk stay as they are.

    Tags are removed first, then `add_tags` put at the end, then the trigger word in front. Removal ignores
    case, takes `_` for a space, and `*` for anything. Regularisation pictures never get the trigger word:
    they show what the word does not mean. `trigger_word` may be several, separated by commas; they are kept
    in the dataset's `trigger_words`.
    """
    triggers = split_tags(trigger_word)

    def rewritten(caption: str, is_regularisation: bool) -> str:
        tags = [tag for tag in split_tags(caption) if not _matches_any(tag, remove_tags)]
        caption = _joined(_with_added(tags, add_tags))
        return caption if is_regularisation else lead_with(caption, triggers)

    def edited(image: DatasetImage) -> DatasetImage:
        first, *others = (rewritten(caption, image.is_regularisation) for caption in image.captions)
        return replace(image, caption=first, other_captions=tuple(others))

    images = tuple(edited(image) for image in dataset.images)
    return replace(dataset, images=images, trigger_words=_merged(dataset.trigger_words, triggers))


def lead_with(caption: str, trigger_words: Sequence[str]) -> str:
    """`caption` with the trigger words as its first tags, each once.

    A caption that begins with a trigger word, or whose first tag is a sentence that says it, is not given it
    again.
    """
    for trigger in reversed(trigger_words):
        others = [tag for tag in split_tags(caption) if plain_tag(tag) != plain_tag(trigger)]
        is_said = bool(others) and _says(others[0], trigger)
        caption = _joined(others if is_said else [trigger, *others])
    return caption


def _with_added(tags: list[str], add_tags: Sequence[str]) -> list[str]:
    have = {plain_tag(tag) for tag in tags}
    new = [tag for entry in add_tags for tag in split_tags(entry)]
    new = [tag for tag in dict.fromkeys(new) if plain_tag(tag) not in have]
    if new and tags:
        tags = [*tags[:-1], tags[-1].rstrip(".")]  # a full stop in mid-caption would end the sentence early
    return tags + new


def _matches_any(tag: str, patterns: Sequence[str]) -> bool:
    # Only * is a wildcard: booru tags such as ":?" and "[o]" mean their brackets and question marks.
    literal = (re.sub(r"[\[?]", r"[\g<0>]", plain_tag(pattern)) for pattern in patterns if pattern.strip())
    return any(fnmatchcase(plain_tag(tag), pattern) for pattern in literal)


def _says(tag: str, trigger: str) -> bool:
    words = re.search(rf"(?<!\w){re.escape(plain_tag(trigger))}(?!\w)", plain_tag(tag))
    return words is not None and (words.start() == 0 or len(tag.split()) >= _SENTENCE_WORDS)


def _joined(tags: Sequence[str]) -> str:
    return ", ".join(tags)


def _merged(known: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """The known words, then those of the new ones that are not among them."""
    have = {plain_tag(word) for word in known}
    return (*known, *(word for word in new if plain_tag(word) not in have))
