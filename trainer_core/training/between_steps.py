"""What is done between the steps of a run: kept, measured, drawn, answered. It changes nothing in what is learned."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import TrainingError
from ..progress import StageReport
from .amount import Step, share_of_epochs
from .keeping import Keeping
from .kept_samples import MissedSample, Sample
from .learner import Learner
from .reports import StepReport
from .run import Request, StopAsked
from .run_parts import RunParts
from .troubles import give_memory_back

_NOT_MEASURED = "memory ran out while the LoRA was measured; the run goes on without that"

Report = StepReport | StageReport | Sample | MissedSample


@dataclass(frozen=True, kw_only=True, slots=True)
class BetweenSteps:
    """Of the process that leads a run."""

    parts: RunParts
    learner: Learner
    keeping: Keeping

    def is_due(self, turn: Step, step: int) -> bool:
        """Whether anything is kept or shown after this step."""
        return turn.is_last_of_epoch or self.keeping.is_due(step) or self._is_time_for_state(step)

    def keep(self, report: StepReport, turn: Step, asked: Set[Request], *, is_last: bool) -> StepReport:
        """The LoRA of this step, where the plan has one or the run was asked for it, and the state; told in the report
        that is returned."""
        run, keeping, step = self.parts.run, self.keeping, report.step
        saved = keeping.save_due(turn, step, is_last=is_last)
        if "save" in asked:
            saved = saved or keeping.save_asked(step)
            run.is_answered("save")
        if saved or self._is_time_for_state(step):
            keeping.save_state(step)
        return replace(report, saved=saved)

    def answer(self, turn: Step, step: int, asked: Set[Request]) -> Iterator[Report]:
        """Stop, or draw samples, where the run was asked to.

        Raises:
            StopAsked: it was.
        """
        run, lengths = self.parts.run, self.parts.lengths
        if "stop" in asked:
            run.is_answered("stop")
            raise StopAsked(f"the run was asked to stop after step {step}. Start it again and it goes on.")
        if "sample" in asked:
            run.is_answered("sample")
            done = step - sum(lengths[: turn.epoch])
            with self.keeping.showing():
                yield from self._draw_samples(share_of_epochs(turn.epoch, done, lengths), step)

    def look(self, epoch: int, step: int, *, is_last: bool = False) -> Iterator[Report]:
        """The LoRA after an epoch as it is kept: measured, and its samples drawn, each once."""
        yield from self._measure(epoch, step, is_last=is_last)
        self.keeping.keep_best(epoch, step)
        samples, plan = self.parts.samples, self.parts.plan
        if not samples.requests or not plan.samples.is_due(epoch, epoch if is_last else len(self.parts.lengths)):
            return
        with self.keeping.showing():
            yield from self._draw_samples(epoch, step)
        if picture := samples.first_of(epoch):
            with suppress(OSError, TrainingError):  # the LoRA is there without it, and may be open elsewhere
                self.keeping.illustrate(step, picture)

    def draw_for_the_verdict(self) -> Iterator[Report]:
        """A picture that fails is no reason to lose a run."""
        try:
            with self.keeping.showing():
                yield from self.parts.judge.draw(self.learner)
        except Exception as problem:
            self.parts.remarks.append(f"the two-prompt test could not be drawn: {problem}")

    def _measure(self, epoch: int, step: int, *, is_last: bool) -> Iterator[Report]:
        """Memory that does not do for it is no reason to lose a run."""
        try:
            with self.keeping.showing():
                yield from self.parts.judge.measure(self.learner, epoch, step, is_last=is_last)
        except RuntimeError as problem:
            give_memory_back(problem)
            if _NOT_MEASURED not in self.parts.remarks:
                self.parts.remarks.append(_NOT_MEASURED)

    def _is_time_for_state(self, step: int) -> bool:
        every = self.parts.plan.saving.state_every_steps
        return bool(every and step % every == 0)

    def _draw_samples(self, epoch: float, step: int) -> Iterator[Report]:
        self.learner.make_room()
        for found in self.parts.samples.draw(self.learner.model, self.learner.adapters, epoch=epoch, step=step):
            if isinstance(found, MissedSample):
                self.parts.remarks.append(found.remark)
            yield found
