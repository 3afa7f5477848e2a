"""Rules as people write them: lists of tags between commas, replacements line by line."""

from __future__ import annotations

from ..errors import TrainingError

_COMMAS = str.maketrans({"，": ",", "、": ",", "\n": ","})
_ARROWS = ("->", "→", "=>")


def read_tags(text: str) -> tuple[str, ...]:
    """Tags between commas, Chinese and Japanese ones too, or one a line."""
    return tuple(tag for part in text.translate(_COMMAS).split(",") if (tag := part.strip()))


def read_replacements(text: str) -> tuple[tuple[str, str], ...]:
    """`old -> new` of each line; nothing after the arrow takes the tag out.

    Raises:
        TrainingError: a line without an arrow, or with nothing before it; says which.
    """
    lines = enumerate(text.splitlines(), start=1)
    return tuple(_replacement(number, line) for number, line in lines if line.strip())


def _replacement(number: int, line: str) -> tuple[str, str]:
    for arrow in _ARROWS:
        old, found, new = line.partition(arrow)
        if found and old.strip():
            return old.strip(), new.strip()
    raise TrainingError(f"line {number} of the tags to replace is {line.strip()!r}. Write old -> new.")
