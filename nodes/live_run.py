"""The run that is being trained: what the page is told of it while it goes on."""

from __future__ import annotations

import time
from typing import Any

from ..trainer_core.progress import StageReport
from ..trainer_core.training.reports import StepReport
from ..trainer_core.training.run import Run
from . import host

EVENT = "lora_atelier.run"
_SECONDS_BETWEEN = 0.5
_MOST_POINTS = 50
"""Of an event. What is left out, the run's history has."""
_RECENT = 0.1
"""Share that a step has in the mean duration of steps."""

Point = tuple[int, float | None, float]
"""Step, loss (None where it is not finite), rate."""


class LiveRun:
    """Tells of a run twice a second at most, and costs a step next to nothing."""

    def __init__(self, run: Run, place: host.Place, *, total_steps: int, epochs: int) -> None:
        self.run, self.place = run, place
        self.stage, self.done, self.total = "", 0, 1
        self.step, self.epoch = 0, 0
        self.total_steps, self.epochs = total_steps, epochs
        self.seconds_per_step: float | None = None
        self._points: list[Point] = []
        self._changed: set[str] = set()
        self._stepped_at = self._told_at = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Of the steps; measuring and samples come on top."""
        return None if self.seconds_per_step is None else self.seconds_per_step * (self.total_steps - self.step)

    def reached_step(self, report: StepReport) -> None:
        now = time.perf_counter()
        if self.stage == "training":  # a step that follows something else tells nothing of how long steps take
            self._measure(now - self._stepped_at)
        self._stepped_at = now
        self.stage, self.done, self.total = "training", report.step, report.total_steps
        self.step, self.epoch = report.step, report.epoch
        loss = report.loss if report.loss == report.loss and abs(report.loss) != float("inf") else None
        self._points.append((report.step, loss, report.learning_rate))
        if report.saved:
            self._changed.add("saves")
        self._tell_in_time(now)

    def reached_stage(self, report: StageReport) -> None:
        self.stage, self.done, self.total = report.stage, report.done, report.total
        self._tell_in_time(time.perf_counter())

    def has_changed(self, what: str) -> None:
        """The page should ask for "samples", "saves", "validation", "verdict" or "remarks" again."""
        self._changed.add(what)

    def end(self, state: str) -> None:
        """ "finished", "stopped" or "failed"; told at once."""
        self._changed |= {"validation", "verdict", "remarks", "saves", "samples"}
        self._tell(state)

    def _measure(self, seconds: float) -> None:
        known = self.seconds_per_step
        self.seconds_per_step = seconds if known is None else known + _RECENT * (seconds - known)

    def _tell_in_time(self, now: float) -> None:
        if now - self._told_at >= _SECONDS_BETWEEN:
            self._told_at = now
            self._tell("training")

    def _tell(self, state: str) -> None:
        points, changed = self._points, self._changed
        self._points, self._changed = [], set()
        host.send_to_page(
            EVENT,
            {
                "run": self.run.folder.name,
                "name": self.run.name,
                "workflow": self.place.workflow,
                "node": self.place.node,
                "prompt": self.place.prompt,
                **self.state(),
                "step": self.step,
                "total_steps": self.total_steps,
                "epoch": self.epoch,
                "epochs": self.epochs,
                "points": points[:: -(-len(points) // _MOST_POINTS) or 1],
                "changed": sorted(changed),
                "state": state,
            },
        )

    def state(self) -> dict[str, Any]:
        """What only a run that is being trained can tell."""
        return {
            "stage": self.stage,
            "done": self.done,
            "total": self.total,
            "seconds_per_step": self.seconds_per_step,
            "seconds_left": self.seconds_left,
            "memory_mb": host.memory_in_use(),
        }
