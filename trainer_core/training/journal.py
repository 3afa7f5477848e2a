"""The steps of a run in its log, each once its loss is known."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from ..errors import TrainingError
from .reports import StepReport
from .run import Run
from .step_loss import StepLoss
from .troubles import FiniteWatch


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenStep:
    """A step that was asked for; a GPU may still be computing it."""

    step: int
    """1-based."""
    total_steps: int
    epoch: int
    """1-based."""
    learning_rate: float
    loss: StepLoss

    def report(self) -> StepReport:
        """Waits for the device."""
        return StepReport(
            step=self.step,
            total_steps=self.total_steps,
            epoch=self.epoch,
            loss=self.loss.value,
            learning_rate=self.learning_rate,
        )


class Journal:
    """Logs the steps of a run in order. Where steps are asked for ahead, the newest one waits for the next."""

    def __init__(self, run: Run, *, is_ahead: bool) -> None:
        self._run, self._held = run, int(is_ahead)
        self._taken: deque[TakenStep] = deque()
        self._finite = FiniteWatch()

    def add(self, taken: TakenStep, *, waits: bool) -> None:
        """The next step. Waits for the device until the steps before this one are computed; with `waits`, or where no
        step is asked for ahead, until this one is."""
        self._taken.append(taken)
        held = 0 if waits else self._held
        if len(self._taken) > held:
            _ = self._taken[-1 - held].loss.value

    def known(self) -> list[StepReport]:
        """Log the steps that are known.

        Raises:
            TrainingError: losses or gradients are not finite again and again.
        """
        return self._log(keep=self._held)

    def whole(self) -> list[StepReport]:
        """Log all steps, the newest one too.

        Raises:
            TrainingError: as `known`.
        """
        return self._log(keep=0)

    def end(self) -> None:
        """Log what is left of a run that was stopped. That it cannot be read or written is no reason to lose its
        state."""
        with suppress(RuntimeError, TrainingError):
            while self._taken:
                self._run.log(self._oldest())

    def _log(self, *, keep: int) -> list[StepReport]:
        reports = []
        while len(self._taken) > keep:
            was_taken = self._taken[0].loss.is_finite
            report = self._oldest()
            self._run.log(report)
            self._finite.check(report.step, report.loss, was_taken=was_taken)
            reports.append(report)
        return reports

    def _oldest(self) -> StepReport:
        """Taken off once it is known: waiting for it may be interrupted."""
        report = self._taken[0].report()
        self._taken.popleft()
        return report
