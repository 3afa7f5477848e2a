"""The steps of a run, and what is done between them: kept, measured, drawn, answered."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import torch

from ..dataset.types import Dataset
from ..job import Job
from ..progress import StageReport
from ..runs.pace import StepTimes, Work
from .amount import Step, share_of_epochs, steps_from
from .compiling import compile_where_it_pays
from .ema import WeightAverage
from .judging import Judge
from .keeping import Keeping
from .learner import Learner
from .optimizer import make_optimizer, set_rates
from .plan import TrainingPlan
from .reports import StepReport
from .run import Run, StopAsked
from .samples import MissedSample, Sample, SampleDrawer
from .schedule import rate_factor
from .state import load_state
from .team import Team
from .troubles import FiniteWatch, is_out_of_memory

Report = StepReport | StageReport | Sample | MissedSample


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingLoop:
    """Takes the steps of a run from where it stopped. The first process leads; the others follow it."""

    job: Job
    run: Run
    dataset: Dataset
    """What is trained."""
    lengths: Sequence[int]
    """Steps of each epoch."""
    learner: Learner
    judge: Judge
    samples: SampleDrawer
    remarks: list[str]
    """What is to be told of the run; this may add to it."""
    work: Work
    team: Team

    @property
    def plan(self) -> TrainingPlan:
        return self.job.plan

    @property
    def total_steps(self) -> int:
        return sum(self.lengths)

    def lead(self) -> Iterator[Report]:
        """The steps of the process that keeps, measures and draws."""
        optimizer, average, step = self._begin()
        if self.plan.precision.compile and self.team.size == 1:
            yield StageReport(stage="compiling", done=0, total=1)
            told = compile_where_it_pays(self.learner, self.run.folder / "compile.json", self.total_steps - step)
            self.remarks.append(told)
        keeping = Keeping(self.job, self.run, self.dataset, self.lengths, self.learner, optimizer, average)
        self.run.rewind_log(step)
        keeping.save_missing(step)
        self.judge.begin(self.learner, step)
        finite = FiniteWatch()
        times = StepTimes(self.run.folder, self.work)
        try:
            if step in (edges := [0, *accumulate(self.lengths)]):
                yield from self._look(keeping, edges.index(step), step)
            for turn in steps_from(self.dataset, self.plan, self.lengths, step):
                with times.step():
                    report = self._next(turn, step, optimizer)
                step += 1
                average.update(step)
                self.run.log(report)
                finite.check(step, report.loss)
                ends = step == self.total_steps or self.run.is_asked("finish")
                is_last = self._agree(turn, step, is_last=ends)
                if saved := self._keep(keeping, turn, step, is_last=is_last):
                    report = replace(report, saved=saved)
                if saved or self._is_time_for_state(step):
                    keeping.save_state(step)
                yield report
                yield from self._answer(keeping, turn, step)
                if turn.is_last_of_epoch or is_last:
                    yield from self._look(keeping, turn.epoch + 1, step, is_last=is_last)
                if is_last:
                    yield from self._draw_for_the_verdict(keeping)
                    break
        except BaseException:  # an error, an interrupt or close(): keep what was learned, then let it through
            if not self.learner.is_updating:
                keeping.save_interrupted(step)
            raise
        finally:
            times.write()
        self.run.tell(self.judge.verdict(self.total_steps).to_json(), self.remarks)
        keeping.finish()
        self.team.add_up()

    def follow(self) -> Iterator[StepReport]:
        """The steps of a process that keeps nothing: the first one does, and says when the run ends."""
        optimizer, _, step = self._begin()
        finite = FiniteWatch()
        for turn in steps_from(self.dataset, self.plan, self.lengths, step):
            report = self._next(turn, step, optimizer)
            step += 1
            finite.check(step, report.loss)
            is_last = self._agree(turn, step, is_last=False)
            yield report
            if is_last:
                break
        self.team.add_up()

    # ------------------------------------------------------------------------------------------------------- a step

    def _begin(self) -> tuple[torch.optim.Optimizer, WeightAverage, int]:
        """What a run goes on with, and from which step: its state, or a fresh start."""
        learner = self.learner
        optimizer = optimizer_of(learner, self.plan)
        average = WeightAverage(learner.parameters, self.plan.ema)
        averaged = average.tensors()
        step = load_state(self.run.state, learner.adapters, optimizer, learner.scaler, averaged)
        average.load(averaged)
        self.team.check_alike(learner.parameters, step)
        return optimizer, average, step

    def _next(self, turn: Step, step: int, optimizer: torch.optim.Optimizer) -> StepReport:
        """The step after `step` whole ones."""
        rate = set_rates(optimizer, rate_factor(self.plan.schedule, step, self.total_steps))
        loss = self._take(turn, optimizer)
        return StepReport(
            step=step + 1, total_steps=self.total_steps, epoch=turn.epoch + 1, loss=loss, learning_rate=rate
        )

    def _take(self, turn: Step, optimizer: torch.optim.Optimizer) -> float:
        """A step; where memory runs out for the first time, the same step again with every block checkpointed, which
        gives the same gradients."""
        learner = self.learner
        try:
            return learner.step(turn, optimizer)
        except RuntimeError as problem:
            if not is_out_of_memory(problem) or learner.checkpoint_every == 1 or learner.is_updating:
                raise
            traceback.clear_frames(problem.__traceback__)  # they hold what filled the memory
        optimizer.zero_grad()
        gc.collect()
        torch.cuda.empty_cache()
        learner.checkpoint(1)
        self.remarks.append("memory ran out, so gradient checkpointing is on: the same result, about a third slower")
        return learner.step(turn, optimizer)

    def _agree(self, turn: Step, step: int, *, is_last: bool) -> bool:
        """Whether any process, and that is the first one, says that the run ends here."""
        if turn.is_last_of_epoch:
            self.team.check_alike(self.learner.parameters, step)
        (ends,) = self.team.add_up(is_last)
        return bool(ends)

    # ------------------------------------------------------------------------------------------------ between steps

    def _keep(self, keeping: Keeping, turn: Step, step: int, *, is_last: bool) -> Path | None:
        """The LoRA of this step, where the plan has one or the run was asked for it."""
        saved = keeping.save_due(turn, step, is_last=is_last)
        if self.run.is_asked("save"):
            saved = saved or keeping.save_asked(step)
            self.run.is_answered("save")
        return saved

    def _is_time_for_state(self, step: int) -> bool:
        every = self.plan.saving.state_every_steps
        return bool(every and step % every == 0)

    def _answer(self, keeping: Keeping, turn: Step, step: int) -> Iterator[Report]:
        """What the run was asked for since the step before. It changes nothing in what is learned.

        Raises:
            StopAsked: it was.
        """
        if self.run.is_asked("stop"):
            self.run.is_answered("stop")
            raise StopAsked(f"the run was asked to stop after step {step}. Start it again and it goes on.")
        if self.run.is_asked("sample"):
            self.run.is_answered("sample")
            done = step - sum(self.lengths[: turn.epoch])
            with keeping.showing():
                yield from self._draw_samples(share_of_epochs(turn.epoch, done, self.lengths), step)

    def _look(self, keeping: Keeping, epoch: int, step: int, *, is_last: bool = False) -> Iterator[Report]:
        """The LoRA after an epoch as it is kept: measured, and its samples drawn, each once."""
        with keeping.showing():
            self.judge.measure(self.learner, epoch, step, is_last=is_last)
            if not self.samples.requests or not self.plan.samples.is_due(epoch, len(self.lengths)):
                return
            yield from self._draw_samples(epoch, step)
        if picture := self.samples.first_of(epoch):
            keeping.illustrate(step, picture)

    def _draw_samples(self, epoch: float, step: int) -> Iterator[Report]:
        for found in self.samples.draw(self.learner.model, self.learner.adapters, epoch=epoch, step=step):
            if isinstance(found, MissedSample):
                self.remarks.append(found.remark)
            yield found

    def _draw_for_the_verdict(self, keeping: Keeping) -> Iterator[Report]:
        """A picture that fails is no reason to lose a run."""
        try:
            with keeping.showing():
                yield from self.judge.draw(self.learner)
        except Exception as problem:
            self.remarks.append(f"the two-prompt test could not be drawn: {problem}")


def optimizer_of(learner: Learner, plan: TrainingPlan) -> torch.optim.Optimizer:
    """The plan's optimizer of all that a learner trains, with the UNet's rate and the text encoders'."""
    trains_unet = bool(plan.optimizer.rate_of_unet)
    return make_optimizer(
        plan.optimizer,
        unet=learner.adapters[0].parameter_groups() if trains_unet else [],
        text_encoders=[group for part in learner.adapters[trains_unet:] for group in part.parameter_groups()],
    )
