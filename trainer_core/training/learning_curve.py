"""A measured loss over a run, as a share of what the base model begins with, and the shape of its curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from .plan import SchedulePlan
from .schedule import rate_factor
from .validation_report import ValidationReport


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningCurve:
    """One point for every measurement; the first is the base model's."""

    epochs: tuple[int, ...]
    way: tuple[float, ...]
    """How far the run had come, counted in learning rate instead of in steps, so that schedules cancel out."""
    losses: tuple[float, ...]
    shares: tuple[float, ...]
    """Losses as shares of the first one; infinite where a loss was not finite."""

    @classmethod
    def of(
        cls,
        reports: Sequence[ValidationReport],
        loss_of: Callable[[ValidationReport], float],
        schedule: SchedulePlan,
        total_steps: int,
    ) -> LearningCurve:
        """The curve of the loss that `loss_of` reads from a report."""
        way = [0.0, *accumulate(rate_factor(schedule, step, total_steps) for step in range(total_steps))]
        losses = [loss if math.isfinite(loss) else math.inf for loss in map(loss_of, reports)]
        return cls(
            epochs=tuple(report.epoch for report in reports),
            way=tuple(way[report.step] for report in reports),
            losses=tuple(losses),
            shares=tuple(loss / losses[0] for loss in losses),
        )

    @property
    def lowest(self) -> int:
        """Index of the best measurement, the first of equals."""
        return self.shares.index(min(self.shares))

    @property
    def gains(self) -> tuple[float, ...]:
        """What each measurement is better than the base model by: 0.3 is a loss that fell by 30 %."""
        return tuple(1 - share for share in self.shares)

    def rise(self, place: int = -1) -> float:
        """How far a measurement lies above the best one."""
        return self.shares[place] - min(self.shares)

    def levelled(self) -> int:
        """Index of the first measurement with nine tenths of the best one's gain: what follows adds little."""
        return next(place for place, gain in enumerate(self.gains) if gain >= 0.9 * self.gains[self.lowest])

    def gained_after(self, place: int) -> float:
        """Share of the gain at the end that came after a measurement."""
        return (self.shares[place] - self.shares[-1]) / self.gains[-1] if self.gains[-1] > 0 else 0.0

    @property
    def steepness(self) -> float:
        """Slope over the last third of the way against that of the whole way: 1 is a straight line, 0 is level."""
        if not 0 < self.gains[-1] < math.inf:
            return 0.0
        share = float(np.interp(self.way[-1] * 2 / 3, self.way, self.shares))
        return 3 * (share - self.shares[-1]) / self.gains[-1]

    def since(self, is_so: Callable[[int], bool]) -> int:
        """The first epoch from which on `is_so` holds, which is asked about places, up to the last one."""
        place = len(self.epochs) - 1
        while place > 1 and is_so(place - 1):
            place -= 1
        return self.epochs[place]
