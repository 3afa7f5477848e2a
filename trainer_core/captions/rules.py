"""What a caption is made of: which of a tagger's tags it takes, and what every caption is given or loses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import TrainingError
from ..fields import read_fields
from .kinds import KINDS, Kind

Existing = Literal["keep", "merge", "overwrite"]
Order = Literal["score", "alphabet"]
_MOST_TAGS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionRules:
    """The choices a person has when captions are made. In all tags `_` is a space, and case does not matter."""

    trigger_word: str = ""
    """Put first in every caption but those of regularisation pictures; several are separated by commas."""
    existing: Existing = "keep"
    """What becomes of a caption that a picture has of its own when there are new ones; one that comes from a
    folder's name always makes room."""
    threshold: float | None = None
    """Score, 0 to 1, from which on a tag is taken. None is the tagger's own."""
    character_threshold: float | None = None
    """The same for names of characters."""
    underscores: bool = False
    """Whether a tagger's `long_hair` is left so. Otherwise it becomes `long hair`; smileys such as ^_^ never do."""
    order: Order = "score"
    """Of a tagger's tags: surest first, or by alphabet."""
    fewest_tags: int = 0
    """If fewer reach the threshold, the surest below it are taken as well."""
    most_tags: int = 0
    """The surest so many are taken; 0 is no limit."""
    ignore_tags: tuple[str, ...] = ()
    """Tags never taken from a tagger; `*` stands for anything. Existing captions keep them."""
    replace_tags: tuple[tuple[str, str], ...] = ()
    """Old tags, in which `*` stands for anything, and what stands in their place: one, several, or none. Of several
    that fit, the first counts."""
    remove_tags: tuple[str, ...] = ()
    """Tags taken out of every caption; `*` stands for anything."""
    remove_kinds: tuple[Kind, ...] = ()
    """Kinds of tags taken out of every caption, such as hair and eyes for the trigger word to absorb."""
    add_tags: tuple[str, ...] = ()
    """Tags put at the end of every caption that has not got them."""

    def __post_init__(self) -> None:
        _check_choice("existing captions", self.existing, get_args(Existing))
        _check_choice("the order of tags", self.order, get_args(Order))
        _check_threshold("tag threshold", self.threshold)
        _check_threshold("threshold for characters", self.character_threshold)
        for name, count in (("fewest", self.fewest_tags), ("most", self.most_tags)):
            if not 0 <= count <= _MOST_TAGS:
                raise TrainingError(f"the {name} tags of a picture are {count}. Choose 0 to {_MOST_TAGS:,}.")
        if 0 < self.most_tags < self.fewest_tags:
            raise TrainingError(
                f"a picture cannot have at least {self.fewest_tags} and at most {self.most_tags} tags. "
                "Lower the fewest or raise the most."
            )
        for kind in self.remove_kinds:
            _check_choice("kinds to remove", kind, KINDS)

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON-able values; `from_json` reads it back."""
        value = dataclasses.asdict(self)
        lists = {name: list(value[name]) for name in _LISTS}
        return {**value, **lists, "replace_tags": [list(pair) for pair in self.replace_tags]}

    @classmethod
    def from_json(cls, value: Any) -> CaptionRules:
        """Rules from a job file; fields left out keep their defaults.

        Raises:
            TrainingError: an unknown field or a value that cannot be used, by name.
        """
        if not isinstance(value, dict):
            raise TrainingError(f"captions must be an object with named fields, got {value!r}.")
        lists = {name: _tags(name, value[name]) for name in _LISTS if name in value}
        if "replace_tags" in value:
            lists["replace_tags"] = _pairs(value["replace_tags"])
        rest = {name: entry for name, entry in value.items() if name not in lists}
        return dataclasses.replace(read_fields(cls, rest, "captions"), **lists)


_LISTS = ("ignore_tags", "remove_tags", "remove_kinds", "add_tags")


def _check_choice(what: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise TrainingError(f"{value!r} is no choice for {what}. Choose {', '.join(choices)}.")


def _check_threshold(what: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise TrainingError(f"the {what} is {value}. Choose a number from 0 to 1, such as 0.35.")


def _tags(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise TrainingError(f"captions.{name} must be a list of texts, got {value!r}.")
    return tuple(value)


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise TrainingError(f"captions.replace_tags must be a list of [old, new], got {value!r}.")
    return tuple((old, new) for old, new in (_tags("replace_tags", pair) for pair in value))
