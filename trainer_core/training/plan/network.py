"""What is trained: the size of the LoRA."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPlan:
    """The size of the LoRA."""

    rank: int = 16
    """Inner width of each adapter; the file grows linearly with it. 8-32 for drawn styles, 64-128 for photos."""
    alpha: float = 8.0
    """Scale of the adapters: their effect is alpha / rank. Half the rank is the usual choice."""

    def __post_init__(self) -> None:
        require(self.rank >= 1, "rank", self.rank, "at least 1", "16 is a good start")
        require(self.rank <= 1024, "rank", self.rank, "at most 1024", "128 is large already")
        require(self.alpha > 0, "alpha", self.alpha, "above 0", f"half the rank is {self.rank / 2:g}")
