"""What is told of a run while it is trained: twice a second at most, and at next to no cost for a step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..progress import StageReport
from ..training.reports import StepReport
from ..training.run import Run

End = Literal["finished", "stopped", "failed"]
News = Literal["samples", "saves", "validation", "verdict", "remarks"]
"""What a page that shows the run should read again from its folder."""

_SECONDS_BETWEEN = 0.5
_MOST_POINTS = 50
"""Of what is told at a time. What is left out, the run's folder has."""
_RECENT = 0.1
"""Share that a step has in the mean duration of steps."""
_TRAINING = "training"
_ALL_NEWS: tuple[News, ...] = ("samples", "saves", "validation", "verdict", "remarks")


class LiveRun:
    """Gathers what happens in a run, and tells it now and then."""

    def __init__(
        self,
        run: Run,
        *,
        total_steps: int,
        epochs: int,
        tell: Callable[[dict[str, Any]], None],
        memory: Callable[[], int],
    ) -> None:
        """
        Args:
            tell: takes what has happened since it was called last, JSON-able.
            memory: MiB in use; asked each time that something is told.
        """
        self.run = run
        self.remarks: Sequence[str] = ()
        self._tell, self._memory = tell, memory
        self._stage, self._done, self._total = "", 0, 1
        self._step, self._total_steps = 0, total_steps
        self._epoch, self._epochs = 0, epochs
        self._seconds_per_step: float | None = None
        self._reports: list[StepReport] = []
        self._news: set[News] = set()
        self._stepped_at, self._told_at = 0.0, -math.inf

    def reached_step(self, report: StepReport) -> None:
        now = time.perf_counter()
        if self._stage == _TRAINING:  # a step that follows something else tells nothing of how long steps take
            self._measure(now - self._stepped_at)
        self._stepped_at = now
        if report.epoch != self._epoch:  # whatever came before the epoch has been measured by now
            self._news.add("validation")
        if report.saved:
            self._news.add("saves")
        self._stage, self._done, self._total = _TRAINING, report.step, report.total_steps
        self._step, self._epoch = report.step, report.epoch
        self._reports.append(report)
        self._tell_in_time(now)

    def reached_stage(self, report: StageReport) -> None:
        begins = report.stage != self._stage and report.done == 0
        self._stage, self._done, self._total = report.stage, report.done, report.total
        if begins:  # it may be long before it tells again
            self._told_at = -math.inf
        self._tell_in_time(time.perf_counter())

    def has_drawn(self) -> None:
        """A sample has been kept."""
        self._news.add("samples")

    def has_remarked(self, remarks: Sequence[str]) -> None:
        """`remarks`: all of the run so far."""
        self.remarks = tuple(remarks)
        self._news.add("remarks")

    def end(self, state: End) -> None:
        """Tell it at once."""
        self._news.update(_ALL_NEWS)
        self._tell_now(state)

    def place(self) -> dict[str, Any]:
        """Where it is and how fast, which its folder does not tell."""
        return {
            "stage": self._stage,
            "done": self._done,
            "total": self._total,
            "seconds_per_step": self._seconds_per_step,
            "seconds_left": self._seconds_left(),
            "memory_mb": self._memory(),
        }

    def _measure(self, seconds: float) -> None:
        known = self._seconds_per_step
        self._seconds_per_step = seconds if known is None else known + _RECENT * (seconds - known)

    def _seconds_left(self) -> float | None:
        """Of the steps; measuring and samples come on top."""
        return self._seconds_per_step and self._seconds_per_step * (self._total_steps - self._step)

    def _tell_in_time(self, now: float) -> None:
        if now - self._told_at >= _SECONDS_BETWEEN:
            self._told_at = now
            self._tell_now(_TRAINING)

    def _tell_now(self, state: str) -> None:
        reports, news = self._reports, self._news
        self._reports, self._news = [], set()
        every = -(-len(reports) // _MOST_POINTS) or 1
        self._tell(
            {
                "run": self.run.folder.name,
                "name": self.run.name,
                **self.place(),
                "step": self._step,
                "total_steps": self._total_steps,
                "epoch": self._epoch,
                "epochs": self._epochs,
                "points": [_point(report) for report in reports[::-every][::-1]],
                "changed": sorted(news),
                "state": state,
            }
        )


def _point(report: StepReport) -> tuple[int, float | None, float]:
    """Step, loss (None where it is not finite) and rate."""
    return report.step, report.loss if math.isfinite(report.loss) else None, report.learning_rate
