"""How a picture's caption varies from visit to visit."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import TrainingError
from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionPlan:
    """How a picture's caption varies from visit to visit. Captions that are sentences keep their words in order."""

    shuffle: bool = False
    """Show the tags in another order at every visit, so that none counts more for coming first. Usual for tags.
    Trigger words stay in front."""
    keep_first: int = 0
    """Tags in front that stay where they are and are never left out, 0 to 100. Trigger words do so anyway; raise it to
    keep more than them."""
    keep_separator: str = ""
    """A mark that says caption by caption what stays: tags before the first one stay in front, tags after a second one
    at the end, and `keep_first` does not count there. "|||" is usual; it is not trained. Empty: none."""
    caption_dropout: float = 0.0
    """Share of visits with an empty caption, 0 to 1. 0.05 to 0.1 teaches a style that shows without words and makes
    guidance (cfg) work better; 0 for characters, which are to come only when called."""
    tag_dropout: float = 0.0
    """Share of tags that a visit leaves out, 0 to 1; never the kept ones. 0.1 makes a LoRA less strict about prompts.
    What is left out becomes part of the trigger word, so keep it low."""
    wildcards: bool = False
    """Read `{red|blue} hat` as a choice that every visit makes anew. Choices may hold commas and further choices."""

    def __post_init__(self) -> None:
        require(0 <= self.keep_first <= 100, "keep first", self.keep_first, "between 0 and 100", "0 or 1 is usual")
        require(
            0 <= self.caption_dropout <= 1, "caption dropout", self.caption_dropout, "between 0 and 1", "0.1 is much"
        )
        require(0 <= self.tag_dropout <= 1, "tag dropout", self.tag_dropout, "between 0 and 1", "0.1 is usual")
        mark = self.keep_separator
        if mark != mark.strip() or "," in mark:
            raise TrainingError(
                f'keep separator must be a mark without commas or spaces around it, got {mark!r}. Use "|||".'
            )
