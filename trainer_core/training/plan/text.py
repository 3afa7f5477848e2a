"""How captions become conditioning."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPlan:
    """How captions become conditioning."""

    clip_skip: int = 1
    """Which CLIP layer from the end is read, as ComfyUI's "stop at CLIP layer" counts without its sign:
    1 = the last, 2 = the one before. SDXL always reads the one before the last."""
    longest_prompt: int = 75
    """Tokens of a caption that are read: 75, 150 or 225. CLIP reads 75 at a time, so each further 75 cost as much
    again. Take more where the report names tags that are cut off; shorter captions are not made longer."""
    weights: bool = False
    """Read `(word:1.2)` and `(word)` as ComfyUI does in prompts, and `\\(` as a bracket. Off: brackets are text, as
    booru tags such as "saber (fate)" have them."""

    def __post_init__(self) -> None:
        require(1 <= self.clip_skip <= 12, "clip skip", self.clip_skip, "between 1 and 12", "1 for photos, 2 for anime")
        require(
            self.longest_prompt in (75, 150, 225),
            "longest prompt",
            self.longest_prompt,
            "75, 150 or 225 tokens",
            "75 does for most captions",
        )
