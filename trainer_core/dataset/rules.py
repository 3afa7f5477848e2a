"""How a folder is read: what counts as a usable picture, what shows through a transparent one, what a caption is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from PIL import ImageColor

from ..errors import TrainingError
from ..fields import read_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingRules:
    """The choices a person has when a folder is read."""

    smallest_side: int = 64
    """Pixels. A picture with a shorter side is an icon, not a training picture, and is skipped."""
    largest_aspect: float = 4.0
    """Long side over short side. A longer strip is skipped: any crop of it is mostly elsewhere."""
    background: str = "white"
    """What shows through transparent pictures: a name that CSS knows, or #rrggbb."""
    transparency_as_mask: bool = False
    """Whether a picture's transparency also becomes its mask."""
    caption_lines: Literal["join", "pick"] = "join"
    """What a caption of several lines is: one text, or one caption a line, of which each visit draws one."""
    most_unusable: float = 0.2
    """Share of files that may be unusable, 0 to 1. Above it reading stops: something is wrong with the folder."""

    def __post_init__(self) -> None:
        if not 1 <= self.smallest_side <= 4096:
            raise TrainingError(f"the smallest side is {self.smallest_side}. Choose 1 to 4096 pixels; 64 is usual.")
        if not self.largest_aspect >= 1:
            raise TrainingError(f"the largest aspect is {self.largest_aspect:g}. Choose 1 or more; 4 is usual.")
        if not 0 <= self.most_unusable <= 1:
            raise TrainingError(
                f"the share of unusable files is {self.most_unusable:g}. Choose 0 (none may be) to 1 (all may be)."
            )
        if self.caption_lines not in ("join", "pick"):
            raise TrainingError(f'caption lines are {self.caption_lines!r}. Choose "join" or "pick".')
        object.__setattr__(self, "background", _hex_colour(self.background))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ReadingRules:
        """Rules from a job file; fields left out keep their defaults.

        Raises:
            TrainingError: an unknown field or a value that cannot be used, by name.
        """
        return read_fields(cls, value, "reading")


def _hex_colour(name: str) -> str:
    try:
        red, green, blue, *_ = ImageColor.getrgb(name.strip())
    except ValueError:
        raise TrainingError(
            f"{name!r} is not a colour. Give a name such as white or grey, or #rrggbb such as #ffffff."
        ) from None
    return f"#{red:02x}{green:02x}{blue:02x}"
