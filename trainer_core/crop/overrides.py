"""Crops that a person has set by hand, by file name: as JSON, or as lines of text.

    {"mochi_01.png": [40, 0, 552, 512], "10_mochi/mochi_02.png": [0.5, 0.3], "mochi_03.png": "left"}

    mochi_01.png: 40, 0, 552, 512
    10_mochi/mochi_02.png: 0.5, 0.3
    mochi_03.png: left

Four numbers are a box in pixels of the upright picture (left, top, right, bottom), two are a place as shares of
width and height, a word is a side. A box gets the shape of the training size around it; with buckets, that of the
bucket which is nearest to its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..dataset.naming import ByFileName
from ..dataset.types import DatasetImage
from ..errors import TrainingError
from .window import Box, center_window

_SIDES = {
    "center": (0.5, 0.5), "centre": (0.5, 0.5), "left": (0.0, 0.5), "right": (1.0, 0.5), "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
}  # fmt: skip
_BEYOND_ANY_PICTURE = 1e9
"""Pixels."""
_FORM = "four pixels (left, top, right, bottom), two shares (0.5, 0.3), or center, left, right, top, bottom"


@dataclass(frozen=True, slots=True)
class Override:
    """Where one picture's window goes: around `box`, or as near to `place` as it can."""

    box: Box | None = None
    place: tuple[float, float] | None = None
    """Shares of width and height, 0 to 1."""

    def window(self, width: int, height: int, aspect: float) -> Box:
        """The window of `aspect` in a width x height picture.

        A box keeps its size and is grown to the aspect; where the picture is too small for that, the largest window
        around its middle is taken.
        """
        left, top, right, bottom = center_window(width, height, aspect)
        if self.box is None:
            middle = (self.place[0] * width, self.place[1] * height)
            return _inside(middle, right - left, bottom - top, width, height)
        box = self.box
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        across = max(box[2] - box[0], (box[3] - box[1]) * aspect)
        if across >= right - left:
            return _inside(middle, right - left, bottom - top, width, height)
        return _inside(middle, max(1, round(across)), max(1, round(across / aspect)), width, height)


def read_overrides(text: str) -> dict[str, Override]:
    """Overrides by file name, from JSON or lines; empty text gives none.

    Raises:
        TrainingError: an entry that cannot be read, by its name or line.
    """
    text = text.strip()
    if not text:
        return {}
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except json.JSONDecodeError as problem:
            raise TrainingError(
                f"the crop overrides are not valid JSON: {problem.msg} at line {problem.lineno}."
            ) from problem
        except (ValueError, RecursionError) as problem:
            raise TrainingError(f"the crop overrides are not valid JSON: {problem}.") from problem
        return overrides_from_json(value)
    return dict(_line(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())


def overrides_from_json(value: Any) -> dict[str, Override]:
    """As `read_overrides`, from an object that is read already."""
    if not isinstance(value, dict):
        raise TrainingError(f"crop overrides must be an object of file names, got {value!r}.")
    return {str(name): _override(str(name), entry) for name, entry in value.items()}


class Overrides:
    """Overrides matched to pictures. A key is a file's name, or the end of its path where names occur twice.

    Raises:
        TrainingError: a key fits no picture, which is a typing error that would go unnoticed.
    """

    def __init__(self, overrides: Mapping[str, Override], images: Sequence[DatasetImage]) -> None:
        self._by_name = ByFileName(overrides)
        if lost := self._by_name.lost(image.path for image in images):
            raise TrainingError(
                f"the crop override {lost[0]!r} names no picture of the dataset. Check the file's name and its suffix."
            )

    def of(self, image: DatasetImage) -> Override | None:
        """The override of a picture; the longest key that fits."""
        return self._by_name.of(image.path)


def _inside(middle: tuple[float, float], across: int, down: int, width: int, height: int) -> Box:
    """A box of that size around `middle`, moved into the picture where it would reach out."""
    left = max(0, min(round(middle[0] - across / 2), width - across))
    top = max(0, min(round(middle[1] - down / 2), height - down))
    return left, top, left + across, top + down


def _line(number: int, line: str) -> tuple[str, Override]:
    for sign in (":", "="):
        name, found, value = line.rpartition(sign)
        if found and name.strip():
            return name.strip(), _override(name.strip(), _value(value))
    raise TrainingError(f"line {number} of the crop overrides is {line.strip()!r}. Write file name: {_FORM}.")


def _value(text: str) -> Any:
    pieces = text.replace(",", " ").strip(" []()").split()
    try:
        return [float(piece) for piece in pieces]
    except ValueError:
        return text.strip()


def _override(name: str, value: Any) -> Override:
    if isinstance(value, str) and value.strip().lower() in _SIDES:
        return Override(place=_SIDES[value.strip().lower()])
    if isinstance(value, list) and all(_is_number(number) for number in value):
        if len(value) == 2 and all(0 <= share <= 1 for share in value):
            return Override(place=(float(value[0]), float(value[1])))
        if len(value) == 4 and value[2] > value[0] and value[3] > value[1]:
            return Override(box=tuple(round(number) for number in value))
    raise TrainingError(f"the crop override of {name!r} is {value!r}. Give {_FORM}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _BEYOND_ANY_PICTURE
