"""Edits that a person made to the captions of single pictures; kept as JSON in the workflow.

    {"version": 1, "pictures": {"a.png": {"text": "a cat", "replace": {"cat": "dog"}, "remove": ["x"], "add": ["y"]}}}

The page does the same in JavaScript; tests/caption_edit_cases.json holds both to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..dataset.naming import ByFileName
from ..errors import TrainingError
from .tags import join_tags, plain_tag, split_tags, unescaped, with_added, with_replaced

_VERSION = 1
_MOST_CHARACTERS = 20 * 2**20
_FORM = '{"version": 1, "pictures": {"a.png": {"add": ["hat"]}}}'


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionEdit:
    """What to do to one caption, in the order of the fields; left out, each does nothing."""

    text: str | None = None
    """Stands for the whole caption. Line ends separate like commas."""
    replace: Mapping[str, str] = field(default_factory=dict)
    """Old tags and what stands in their place: one tag, several, or an empty text for none."""
    remove: Sequence[str] = ()
    """Tags, each a whole one; no wildcards."""
    add: Sequence[str] = ()
    """Tags for the end of the caption, where it has not got them."""


def apply(caption: str, edit: CaptionEdit) -> str:
    """The caption as edited, with single commas. Tags are the same whatever their case, `_` and backslashes."""
    if edit.text is not None:
        caption = unescaped(", ".join(edit.text.splitlines()))
    replacements = {plain_tag(old): unescaped(new) for old, new in edit.replace.items()}
    removed = {plain_tag(tag) for tag in edit.remove}
    tags = with_replaced(split_tags(caption), replacements)
    tags = [tag for tag in tags if plain_tag(tag) not in removed]
    return join_tags(with_added(tags, map(unescaped, edit.add)))


def apply_to_all(captions: Sequence[str], edit: CaptionEdit) -> tuple[str, ...]:
    """The captions of one picture as edited; of several, a text stands for the first."""
    first, *others = captions
    return apply(first, edit), *(apply(other, replace(edit, text=None)) for other in others)


class CaptionEdits:
    """Edits matched to pictures, by `pictures`: a file's name, or the end of its path where names occur twice."""

    def __init__(self, pictures: Mapping[str, CaptionEdit]) -> None:
        self.pictures = pictures
        self._by_name = ByFileName(pictures)

    @classmethod
    def read(cls, text: str) -> CaptionEdits:
        """Edits from JSON; empty text gives none.

        Raises:
            TrainingError: what cannot be read, by its place.
        """
        if not text.strip():
            return cls({})
        if len(text) > _MOST_CHARACTERS:
            raise TrainingError(f"the caption edits are {len(text):,} characters long. Reset some; 20 MB is the most.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError as problem:
            raise TrainingError(
                f"the caption edits are not valid JSON: {problem.msg} at line {problem.lineno}. Write {_FORM}."
            ) from problem
        except (ValueError, RecursionError) as problem:
            raise TrainingError(f"the caption edits are no such JSON as the page writes. Write {_FORM}.") from problem
        return cls.from_json(value)

    @classmethod
    def from_json(cls, value: Any) -> CaptionEdits:
        """As `read`, from an object that is read already."""
        return cls(_pictures(value))

    def to_json(self) -> dict[str, Any]:
        return {"version": _VERSION, "pictures": {name: _to_json(edit) for name, edit in self.pictures.items()}}

    def of(self, picture: Path) -> CaptionEdit | None:
        return self._by_name.of(picture)

    def lost(self, pictures: Iterable[Path]) -> list[str]:
        """The names of the edits that fit none of `pictures`."""
        return self._by_name.lost(pictures)


NO_EDITS = CaptionEdits({})


def _to_json(edit: CaptionEdit) -> dict[str, Any]:
    parts = {"replace": dict(edit.replace), "remove": list(edit.remove), "add": list(edit.add)}
    text = {} if edit.text is None else {"text": edit.text}
    return {**text, **{name: part for name, part in parts.items() if part}}


def _pictures(value: Any) -> dict[str, CaptionEdit]:
    if not isinstance(value, dict) or not value.keys() <= {"version", "pictures"}:
        raise TrainingError(f"the caption edits are no such JSON as the page writes. Write {_FORM}.")
    if value.get("version", _VERSION) != _VERSION:
        raise TrainingError(
            f"the caption edits are of version {value['version']!r}, and this pack reads {_VERSION}. Update the pack."
        )
    pictures = value.get("pictures", {})
    if not isinstance(pictures, dict):
        raise TrainingError(f"the caption edits' pictures are not an object of file names. Write {_FORM}.")
    return {name: _edit(name, entry) for name, entry in pictures.items()}


def _edit(name: str, value: Any) -> CaptionEdit:
    if not isinstance(value, dict) or not value.keys() <= {"text", "replace", "remove", "add"}:
        raise TrainingError(f"the caption edit of {name!r} has other fields than text, replace, remove, add.")
    return CaptionEdit(
        text=_text(value["text"], name, "text") if value.get("text") is not None else None,
        replace=_replacements(value.get("replace", {}), name),
        remove=_list(value.get("remove", []), name, "remove"),
        add=_list(value.get("add", []), name, "add"),
    )


def _replacements(value: Any, name: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TrainingError(f'"replace" in the caption edit of {name!r} must be an object of old and new tags.')
    return {_text(old, name, "replace"): _text(new, name, "replace") for old, new in value.items()}


def _list(value: Any, name: str, part: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TrainingError(f'"{part}" in the caption edit of {name!r} must be a list of tags.')
    return tuple(_text(tag, name, part) for tag in value)


def _text(value: Any, name: str, part: str) -> str:
    if not isinstance(value, str):
        raise TrainingError(f'"{part}" in the caption edit of {name!r} holds something that is no text.')
    return value.encode("utf-8", "ignore").decode("utf-8")  # half a character, which no file can hold
