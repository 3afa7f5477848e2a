"""The steps of a run, one after the other."""

from __future__ import annotations

import gc
import traceback
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import torch

from ..ahead import one_ahead
from ..cpu_threads import spare
from ..devices import is_gpu
from ..progress import StageReport
from ..runs.pace import StepTimes, Work
from .adamw import AdamW
from .amount import Step, steps_from
from .between_steps import BetweenSteps, Report
from .compiling import compile_where_it_pays
from .device_layers import use_gpu_layers
from .draws import Part
from .ema import WeightAverage
from .graph_trial import use_graphs_where_they_help
from .journal import Journal, TakenStep
from .keeping import Keeping
from .learner import Learner
from .optimizer import make_optimizer, set_rates, trained_parameters
from .plan import TrainingPlan
from .precision import FORMATS
from .reports import StepReport
from .run_parts import RunParts
from .schedule import rate_factor
from .state import load_state
from .step_graphs import GIVEN_UP
from .step_loss import StepLoss
from .troubles import FiniteWatch, give_memory_back, is_out_of_memory


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingLoop:
    """Takes the steps of a run from where it stopped. The first process leads; the others follow it."""

    parts: RunParts
    learner: Learner
    work: Work

    @property
    def plan(self) -> TrainingPlan:
        return self.parts.plan

    def lead(self) -> Iterator[Report]:
        """The steps of the process that keeps, measures and draws."""
        parts, run = self.parts, self.parts.run
        optimizer, average, step, is_over = self._begin()
        if not is_over:
            yield from self._speed_up(parts.total_steps - step, optimizer)
        edges = [0, *accumulate(parts.lengths)]
        epoch = bisect_left(edges, step)
        keeping = Keeping(parts, self.learner, optimizer, average)
        if is_over:
            keeping.end(epoch, step)
        run.rewind_log(step)
        keeping.save_missing(step)
        parts.judge.begin(self.learner, step)
        journal = Journal(run, is_ahead=self.learner.is_ahead(optimizer))
        between = BetweenSteps(parts=parts, learner=self.learner, keeping=keeping)
        times = StepTimes(run.folder, self.work)
        try:
            if step in edges or is_over:
                yield from between.look(epoch, step, is_last=is_over)
            with closing(self._turns(step, is_over)) as turns:
                for turn, drawn in turns:
                    with times.step():
                        taken = self._next(drawn, turn, step, optimizer)
                        step += 1
                        average.update(step)
                        self.learner.is_updating = False
                        is_due = between.is_due(turn, step)
                        journal.add(taken, waits=is_due)  # what stops a run while this waits is after this step
                    asked = run.asked()
                    if "finish" in asked:
                        run.end_at(step)
                    ends = step == parts.total_steps or "finish" in asked
                    is_last = self._agree(turn, step, is_last=ends)
                    if is_last or is_due or asked:
                        *earlier, report = journal.whole()
                        yield from earlier
                        yield between.keep(report, turn, asked, is_last=is_last)
                    else:
                        yield from journal.known()
                    if asked := run.asked():  # also while the step was told
                        yield from journal.whole()
                        yield from between.answer(turn, step, asked)
                    if turn.is_last_of_epoch or is_last:
                        yield from between.look(turn.epoch + 1, step, is_last=is_last)
                    if is_last:
                        break
            yield from between.draw_for_the_verdict()  # also of a run that was stopped behind its last step
        except BaseException:  # an error, an interrupt or close(): keep what was learned, then let it through
            if not self.learner.is_updating:
                journal.end()
                keeping.save_interrupted(step)
            raise
        finally:
            self.learner.learn_itself()  # graphs hold the learner, which holds the model: nobody else shall
            times.write()
        run.tell(parts.judge.verdict(parts.total_steps).to_json(), parts.remarks)
        keeping.finish()
        parts.team.add_up()

    def follow(self) -> Iterator[StepReport]:
        """The steps of a process that keeps nothing: the first one does, and says when the run ends."""
        optimizer, _, step, is_over = self._begin()
        if not is_over:
            for _ in self._speed_up(self.parts.total_steps - step, optimizer):
                pass
        finite = FiniteWatch()
        try:
            with closing(self._turns(step, is_over)) as turns:
                for turn, drawn in turns:
                    taken = self._next(drawn, turn, step, optimizer)
                    report = taken.report()
                    step += 1
                    self.learner.is_updating = False
                    finite.check(step, report.loss, was_taken=taken.loss.is_finite)
                    is_last = self._agree(turn, step, is_last=False)
                    yield report
                    if is_last:
                        break
        finally:
            self.learner.learn_itself()  # as where it leads
        self.parts.team.add_up()

    # ------------------------------------------------------------------------------------------------------- a step

    def _begin(self) -> tuple[torch.optim.Optimizer, WeightAverage, int, bool]:
        """What a run goes on with, from which step, and whether that was its last: its state, or a fresh start."""
        learner, parts = self.learner, self.parts
        optimizer = optimizer_of(learner, self.plan)
        average = WeightAverage(learner.parameters, self.plan.ema)
        averaged = average.tensors()
        step = load_state(parts.run.state, learner.adapters, optimizer, learner.scaler, averaged)
        average.load(averaged)
        parts.team.check_alike(learner.parameters, step)
        (is_over,) = parts.team.add_up(parts.team.is_first and parts.run.ends_at(step))
        return optimizer, average, step, bool(is_over) or step == parts.total_steps

    def _speed_up(self, steps: int, optimizer: torch.optim.Optimizer) -> Iterator[StageReport]:
        """What the plan allows to be tried before the `steps` that are left."""
        folder, precision, remarks = self.parts.run.folder, self.plan.precision, self.parts.remarks
        if precision.compile:
            yield StageReport(stage="compiling", done=0, total=1)
            remarks.append(compile_where_it_pays(self.learner, folder / "compile.json", steps))
            if is_gpu(self.parts.device) and not self.learner.is_compiled:
                unet, dtype = self.learner.model.unet, FORMATS[self.parts.precision]
                # without borders (lora/border.py), whose memory was not counted
                use_gpu_layers(unet, self.parts.device, dtype, will_compile=False)
        if precision.cuda_graphs and is_gpu(self.parts.device):
            yield StageReport(stage="recording CUDA graphs", done=0, total=1)
            order = trained_parameters(optimizer)
            remarks.append(use_graphs_where_they_help(self.learner, folder / "graphs.json", order, remarks.append))
            if self.learner.strip and isinstance(optimizer, AdamW):
                try:
                    optimizer.take(self.learner.strip)
                except RuntimeError as problem:
                    give_memory_back(problem)  # the first step needs as much, and graphs hold more
                    self.learner.learn_itself()
                    remarks.append(GIVEN_UP)

    def _turns(self, step: int, is_over: bool) -> Generator[tuple[Step, list[Part]]]:
        """The steps after `step` whole ones, each with what it shows, the next one's drawn while one is taken."""
        left = () if is_over else steps_from(self.parts.dataset, self.plan, self.parts.lengths, step)
        return one_ahead(left, self.learner.draw, begin=partial(spare, self.parts.device))

    def _next(self, drawn: Sequence[Part], turn: Step, step: int, optimizer: torch.optim.Optimizer) -> TakenStep:
        """The step after `step` whole ones."""
        rate = set_rates(optimizer, rate_factor(self.plan.schedule, step, self.parts.total_steps))
        loss = self._take(drawn, optimizer)
        return TakenStep(
            step=step + 1, total_steps=self.parts.total_steps, epoch=turn.epoch + 1, loss=loss, learning_rate=rate
        )

    def _take(self, drawn: Sequence[Part], optimizer: torch.optim.Optimizer) -> StepLoss:
        """A step; where memory runs out, the same step again without CUDA graphs, then with every block checkpointed,
        which both give the same gradients."""
        learner = self.learner
        while True:
            try:
                return learner.step(drawn, optimizer)
            except RuntimeError as problem:
                can_help = not learner.learns_itself or learner.checkpoint_every != 1
                if not is_out_of_memory(problem) or not can_help or learner.is_updating:
                    raise
                traceback.clear_frames(problem.__traceback__)  # they hold what filled the memory
            optimizer.zero_grad()
            self.parts.remarks.append(self._save_memory())
            gc.collect()
            torch.cuda.empty_cache()

    def _save_memory(self) -> str:
        """Do what saves memory and costs least; what to tell of it."""
        if not self.learner.learns_itself:
            self.learner.learn_itself()
            return GIVEN_UP
        self.learner.checkpoint(1)
        return "memory ran out, so gradient checkpointing is on: the same result, about a third slower"

    def _agree(self, turn: Step, step: int, *, is_last: bool) -> bool:
        """Whether any process, and that is the first one, says that the run ends here."""
        if turn.is_last_of_epoch:
            self.parts.team.check_alike(self.learner.parameters, step)
        (ends,) = self.parts.team.add_up(is_last)
        return bool(ends)


def optimizer_of(learner: Learner, plan: TrainingPlan) -> torch.optim.Optimizer:
    """The plan's optimizer of all that a learner trains, with the UNet's rate and the text encoders'."""
    trains_unet = bool(plan.optimizer.rate_of_unet)
    return make_optimizer(
        plan.optimizer,
        unet=learner.adapters[0].parameter_groups() if trains_unet else [],
        text_encoders=[group for part in learner.adapters[trains_unet:] for group in part.parameter_groups()],
    )
