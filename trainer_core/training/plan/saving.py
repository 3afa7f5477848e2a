"""What is kept on the way."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class SavingPlan:
    """What is kept on the way."""

    every_epochs: int = 1
    """Keep a LoRA after every N epochs; the last epoch is always kept. 0: only the last."""
    every_steps: int = 0
    """Keep a LoRA after every N steps as well. 0: only by epochs."""
    keep_last: int = 0
    """Of the kept LoRAs, delete all but the newest N and the best by held-out pictures. 0: all stay."""
    state_every_steps: int = 100
    """Write the resumable state every N steps, besides at every kept epoch and at every stop. 0: only then."""

    def __post_init__(self) -> None:
        require(self.every_epochs >= 0, "save every epochs", self.every_epochs, "0 or more", "1 keeps every epoch")
        require(self.every_steps >= 0, "save every steps", self.every_steps, "0 or more", "0 saves by epochs")
        require(self.keep_last >= 0, "keep last", self.keep_last, "0 or more", "0 keeps all")
        require(
            self.state_every_steps >= 0, "save state every steps", self.state_every_steps, "0 or more", "100 is usual"
        )
