"""One picture to draw: what is asked of a base model, with or without a LoRA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .errors import TrainingError

SamplerName = Literal[
    "euler",
    "euler_ancestral",
    "dpmpp_2m",
    "dpmpp_2m_karras",
    "dpmpp_sde_karras",
    "dpmpp_2m_sde_karras",
    "ddim",
    "uni_pc",
    "lcm",
]
"""Samplers by ComfyUI's names; _karras is ComfyUI's scheduler of that name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRequest:
    """One picture to draw."""

    prompt: str
    negative: str = ""
    width: int = 512
    """Pixels, a multiple of 8."""
    height: int = 512
    steps: int = 20
    cfg: float = 7.0
    """Guidance scale; 1 = none, and the negative prompt does nothing."""
    sampler: SamplerName = "euler"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sampler not in get_args(SamplerName):
            raise TrainingError(
                f"there is no sampler {self.sampler!r}. Choose one of: {', '.join(get_args(SamplerName))}."
            )
        for name, side in (("width", self.width), ("height", self.height)):
            if not 16 <= side <= 4096 or side % 8:
                raise TrainingError(f"the {name} must be a multiple of 8 between 16 and 4096, got {side}.")
        if not 1 <= self.steps <= 1000:
            raise TrainingError(f"steps must be between 1 and 1000, got {self.steps}. 20 is a good start.")
        if not 1 <= self.cfg <= 100:
            raise TrainingError(f"cfg must be between 1 and 100, got {self.cfg:g}. 7 is usual, 1 is no guidance.")
        if not 0 <= self.seed < 2**63:
            raise TrainingError(f"the seed must be between 0 and 2^63 - 1, got {self.seed}. 0 will do.")
