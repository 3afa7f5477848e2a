"""How a run is judged while it trains."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require

MOST_HELD_OUT = 0.5
"""The largest share of the pictures that may be kept from training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationPlan:
    """How a run is judged while it trains: the same noise and timesteps every time, so that its numbers compare."""

    every_epochs: int = 1
    """Measure after every N epochs, the first time the base model too. Raise it where an epoch is shorter than a
    minute, as each time costs up to 64 forward passes. 0: never; the run gets no verdict."""
    held_out_share: float = 0.0
    """Share of the pictures that are kept from training and only measured, 0 to 0.5: at least 2 pictures, at most 16,
    and none of fewer than 8. What the LoRA makes of them tells learning from memorising, so the verdict is surer. 0.1
    for sets that can spare them. 0: train them all."""
    two_prompts: bool = False
    """Draw the two-prompt test at the end: three captions word for word and three pictures of the trigger words, each
    with the LoRA and without. Twelve pictures at the training size, for sets of which nothing is held out."""
    seed: int = 0
    """Seed of which pictures are held out, and of the noise they are measured with."""
    class_words: str = ""
    """What kind of thing is trained, such as "girl" or "cat": the prompt of the two-prompt test beside the trigger
    words. Empty: the tag that most captions have in common."""

    def __post_init__(self) -> None:
        require(self.every_epochs >= 0, "validate every epochs", self.every_epochs, "0 or more", "1 is usual, 0 is off")
        share = self.held_out_share
        usual = "0.1 is usual, 0 holds out none"
        require(0 <= share <= MOST_HELD_OUT, "held-out share", share, f"between 0 and {MOST_HELD_OUT:g}", usual)
        require(0 <= self.seed < 2**63, "validation seed", self.seed, "between 0 and 2^63 - 1", "0 will do")
