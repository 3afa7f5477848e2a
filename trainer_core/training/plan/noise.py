"""What noise is added to a picture."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisePlan:
    """What noise is added to a picture, and so what the UNet learns to undo. All 0: plain white noise."""

    offset: float = 0.0
    """Strength of one more draw that shifts a whole channel at once, 0 to 1. Plain noise hardly touches the mean of a
    picture, so very dark and very bright pictures are learned poorly without. 0.05 to 0.1 is usual; SDXL itself was
    made with 0.0357. Too much makes every picture contrasty."""
    offset_random: bool = False
    """Draw the strength of every visit between 0 and `offset`, so that plain noise stays in the mix."""
    multires_iterations: int = 0
    """Coarser and coarser layers of noise that are mixed in, 0 to 16: another way to dark and bright pictures and to
    large shapes. 6 to 10 is usual; layers end by themselves where one is a single pixel high or wide. 0: off.
    Use it or the offset; together, the layers weaken the offset."""
    multires_discount: float = 0.3
    """What a layer counts against the finer one before it, above 0 and at most 1. 0.3 is safe, 0.8 is for long runs."""
    perturbation: float = 0.0
    """Strength of noise that the UNet sees but is not asked for, 0 to 1: it learns to bear its own mistakes. 0.1 is
    usual."""
    perturbation_random: bool = False
    """Draw the strength of every visit between 0 and `perturbation`."""

    def __post_init__(self) -> None:
        require(0 <= self.offset <= 1, "noise offset", self.offset, "between 0 and 1", "0.05 is usual")
        require(
            0 <= self.multires_iterations <= 16,
            "multires iterations",
            self.multires_iterations,
            "between 0 and 16",
            "6 to 10 is usual",
        )
        require(
            0 < self.multires_discount <= 1,
            "multires discount",
            self.multires_discount,
            "above 0 and at most 1",
            "0.3 is usual",
        )
        require(0 <= self.perturbation <= 1, "input perturbation", self.perturbation, "between 0 and 1", "0.1 is usual")
