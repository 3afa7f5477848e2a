"""What is read of a picture's caption at each visit: a pure function of the plan, the seed, the step and the position.

In this order: one of the picture's captions is picked; wildcards are chosen; the tags that stay are told from those
that move; these are shuffled; some of them are left out; all are joined; the whole is left out. Every one of these
draws has a stream of its own, so that none changes when another is switched on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ..captions.tags import is_sentence, join_tags, plain_tag, split_tags
from ..dataset.types import DatasetImage
from ..families.prompts import open_brackets
from .batches import draw_captions, stream_seed
from .plan.captions import CaptionPlan

_INNERMOST_CHOICE = re.compile(r"\{([^{}|]*\|[^{}]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionParts:
    """The tags of a caption by what may happen to them."""

    kept: tuple[str, ...]
    """Stay in front. A caption that is a sentence is all of it kept."""
    moving: tuple[str, ...]
    """May be shuffled and left out."""
    ending: tuple[str, ...]
    """Stay at the end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitCaptions:
    """Draws the captions of the visits of a run."""

    plan: CaptionPlan
    trigger_words: tuple[str, ...]
    weights: bool
    """Whether brackets are weights, so that commas within them separate nothing."""
    seed: int

    def of_batch(self, images: Sequence[DatasetImage], step: int) -> list[str]:
        """The caption of each picture of the batch that is trained `step`-th, counted from 0."""
        picked = draw_captions(images, self.seed, step)
        return [self._of_visit(caption, step, position) for position, caption in enumerate(picked)]

    def known(self, images: Iterable[DatasetImage]) -> list[str] | None:
        """Every caption that visits of these pictures can come to; None where drawing gives too many to list."""
        captions = [caption for image in images for caption in image.captions]
        if any(self._varies(caption) for caption in captions):
            return None
        empty = [""] if self.plan.caption_dropout else []
        return [self._arranged(caption, 0, 0) for caption in captions] + empty

    def parts(self, caption: str) -> CaptionParts:
        """A caption without wildcards taken apart."""
        if self._is_marked(caption):
            kept, moving, *endings = (self._tags(part) for part in caption.split(self.plan.keep_separator))
            ending = [tag for tags in endings for tag in tags]
        else:
            tags, ending = self._tags(caption), []
            stay = len(tags) if is_sentence(caption) else max(self.plan.keep_first, self._leading_triggers(tags))
            kept, moving = tags[:stay], tags[stay:]
        if is_sentence(join_tags(moving)):
            kept, moving = kept + moving, []
        return CaptionParts(kept=tuple(kept), moving=tuple(moving), ending=tuple(ending))

    def _of_visit(self, caption: str, step: int, position: int) -> str:
        caption = self._arranged(caption, step, position)
        is_left_out = self._draws("caption dropout", step, position).random() < self.plan.caption_dropout
        return "" if is_left_out else caption

    def _arranged(self, caption: str, step: int, position: int) -> str:
        """A caption with its choices made, its tags in the order of the visit, without those that it leaves out."""
        written = caption
        if self.plan.wildcards:
            caption = choose_wildcards(caption, self._draws("wildcards", step, position))
        parts = self.parts(caption)
        may_change = parts.moving and (self.plan.shuffle or self.plan.tag_dropout)
        if caption == written and not may_change and not self._is_marked(caption):
            return caption  # to the letter
        moving = list(parts.moving)
        if self.plan.shuffle:
            self._draws("shuffle", step, position).shuffle(moving)
        draws = self._draws("tag dropout", step, position)
        moving = [tag for tag in moving if draws.random() >= self.plan.tag_dropout]
        return join_tags((*parts.kept, *moving, *parts.ending))

    def _varies(self, caption: str) -> bool:
        if self.plan.wildcards and _INNERMOST_CHOICE.search(caption):
            return True
        moving = self.parts(caption).moving
        return bool(moving and self.plan.tag_dropout) or (self.plan.shuffle and len(moving) > 1)

    def _is_marked(self, caption: str) -> bool:
        return bool(self.plan.keep_separator) and self.plan.keep_separator in caption

    def _tags(self, caption: str) -> list[str]:
        tags = split_tags(caption)
        return with_brackets_whole(tags) if self.weights else tags

    def _leading_triggers(self, tags: Sequence[str]) -> int:
        """How many tags in front are trigger words or begin with one: `mochi`, `mochi sitting`."""
        triggers = tuple(f"{plain_tag(word)} " for word in self.trigger_words)
        return len(list(takewhile(lambda tag: f"{plain_tag(tag)} ".startswith(triggers), tags)))

    def _draws(self, what: str, step: int, position: int) -> random.Random:
        return random.Random(stream_seed(self.seed, what, step, position))


def choose_wildcards(caption: str, draws: random.Random) -> str:
    """One of the choices of every `{red|blue}`, the innermost first; braces without a `|` are text."""
    while choice := _INNERMOST_CHOICE.search(caption):
        chosen = draws.choice(choice[1].split("|"))
        caption = caption[: choice.start()] + chosen + caption[choice.end() :]
    return caption


def with_brackets_whole(tags: Sequence[str]) -> list[str]:
    """Tags split at commas, where brackets hold commas joined again: `(red hair, blue eyes:1.2)` is one.

    Brackets that never close are text, and nothing is joined.
    """
    whole: list[str] = []
    depth = 0
    for tag in tags:
        if depth:
            whole[-1] += f", {tag}"
        else:
            whole.append(tag)
        depth = max(0, depth + open_brackets(tag))
    return list(tags) if depth else whole
