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

    def __post_init__(self) -> None:
        require(1 <= self.clip_skip <= 12, "clip skip", self.clip_skip, "between 1 and 12", "1 for photos, 2 for anime")
