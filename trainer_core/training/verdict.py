"""Underfit, good or overfit: what the measurements of a run say, as shapes of curves and never as sizes of losses.

A loss says little by itself, as it differs between base models and pictures. So every curve is first divided by what
the base model begins with, and the rules ask how much of what was gained is lost again, how much of it carries over to
held-out pictures, and how fast it was still growing at the end. benchmarks/verdict_calibration.py measures the rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

import numpy as np

from .plan import SchedulePlan
from .schedule import rate_factor
from .two_prompts import TwoPromptResult
from .validation_report import ValidationReport

LOST = 0.10
"""Share of the gain that is lost again, from where a curve counts as rising."""
NOT_CARRIED_OVER = 0.40
"""Share of the gain on trained pictures that is missing on held-out ones, from where it counts as memorised."""
STEEP = 0.45
"""Slope over the last third of the way against the slope of the whole way: 1 is a straight line, 0 is level."""
NOT_LEARNED = 0.80
"""Distance of captions' pictures from their sources, against the base model's, from where nothing much was learned."""
ONE_COMPOSITION = 0.15
"""Variety of the trigger's pictures, against the training pictures, below which they are one picture."""
_HARDLY_MOVED = 0.01
"""Share of the base model's loss."""
_ODD_SHARE = 1 / 3
"""A picture that gained less than this share of what the middle picture gained does not fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A loss over the epochs, as a share of the base model's."""

    epochs: tuple[int, ...]
    way: tuple[float, ...]
    """How far the run had come, 0 to 1, counted in learning rate instead of in steps: schedules cancel out."""
    shares: tuple[float, ...]
    """1 at first; infinite where the loss was not finite."""

    @property
    def lowest(self) -> int:
        """Index of the best epoch: the first of equals."""
        return self.shares.index(min(self.shares))

    @property
    def gain(self) -> float:
        """What the loss fell by at the end, negative where it rose."""
        return 1 - self.shares[-1]

    @property
    def lost(self) -> float:
        """Share of the best epoch's gain that is lost again at the end."""
        best = 1 - min(self.shares)
        return (best - self.gain) / best if best > 0 else math.inf if self.gain < 0 else 0.0

    @property
    def steepness(self) -> float:
        """Slope over the last third of the way, against the slope of the whole way."""
        if self.gain <= 0:
            return 0.0
        return 3 * (float(np.interp(2 / 3, self.way, self.shares)) - self.shares[-1]) / self.gain
