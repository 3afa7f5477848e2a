"""Trainer: a job in, a LoRA out. The loop is a generator; whoever drives it decides what happens between steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..cpu_threads import spared
from ..devices import device_name
from ..families.architecture import outline_of
from ..families.loading import family_of
from ..job import Job
from ..progress import StageReport
from ..runs.pace import Work
from .amount import saves, steps_per_epoch
from .arithmetic import RunSize, run_size
from .batches import check_trainable
from .between_steps import Report
from .judging import Judge
from .keeping import check_room
from .learner import Learner
from .loop import TrainingLoop
from .memory import StepMemory
from .memory_choice import base_remark
from .memory_fit import MemoryFit
from .metadata import shareable
from .optimizer import check_optimizer
from .picture_ranking import RankedPicture, rank_pictures
from .precision import resolve_precision, tf32
from .preparation import Preparation
from .reports import TrainedLora
from .run import Run
from .run_lock import RunLock
from .run_parts import RunParts
from .samples import SampleDrawer
from .shares import check_shares
from .team import ALONE, Team
from .validation import cost_remark
from .verdict import Verdict


class Trainer:
    """One job on one device. Building it is cheap and refuses what would fail later.

    Raises:
        TrainingError: the set, the base model, the optimizer or the runs folder cannot be used.
    """

    def __init__(
        self,
        job: Job,
        runs_folder: Path,
        *,
        device: str = "cpu",
        tokenizer_folders: Sequence[Path] = (),
        team: Team = ALONE,
    ) -> None:
        """`team`: the processes that train this run together, each with a trainer of the same job."""
        self.family = family_of(job.base_model)
        self.job, self.plan = job, job.plan
        self.device, self.tokenizer_folders, self._team = device, tokenizer_folders, team
        self.precision = resolve_precision(job.plan.precision.training, device)
        check_optimizer(job.plan.optimizer, device)
        self.run = Run(job, runs_folder, self.precision)
        self._judge = Judge(job.dataset, job.plan, self.run, precision=self.precision, device=device)
        self.dataset = self._judge.training
        """What is trained: the job's dataset without the pictures that are held out."""
        check_trainable(self.dataset, job.plan)
        check_shares(job.plan, team.size)
        self.lengths = steps_per_epoch(self.dataset, job.plan)
        self.total_steps = sum(self.lengths)
        self.remarks: list[str] = []
        """What should be told about the run, a line each; more come while it is prepared."""
        if self._judge.held_out:
            self.remarks.append(self._judge.remark)
        if self.run.has_begun and (remark := base_remark(self.run.memory, job.plan)):
            self.remarks.append(remark)
        if remark := cost_remark(
            job.plan.validation.every_epochs,
            pictures=len(self.dataset.training_images) + self._judge.held_out,
            epochs=len(self.lengths),
            shown=self.total_steps * job.plan.batch_size * job.plan.accumulation,
        ):
            self.remarks.append(remark)
        samples = SampleDrawer(
            job.plan.samples,
            self.run.folder,
            clip_skip=job.plan.text.clip_skip,
            precision=self.precision,
            device=device,
        )
        self._memory = MemoryFit(
            job,
            self.dataset,
            precision=self.precision,
            device=device,
            processes=team.size,
        )
        self._parts = RunParts(
            job=job,
            run=self.run,
            dataset=self.dataset,
            lengths=self.lengths,
            judge=self._judge,
            samples=samples,
            remarks=self.remarks,
            device=device,
            precision=self.precision,
            team=team,
        )
        self._size: RunSize | None = None
        self.learner: Learner | None = None
        """What takes the steps, once it is prepared and until they are taken."""

    @property
    def run_folder(self) -> Path:
        return self.run.folder

    def size(self) -> RunSize:
        """The arithmetic of the run, to be shown before it starts. It puts every epoch in order, so it is done once."""
        if self._size is None:
            self._size = run_size(self.dataset, self.plan, outline_of(self.job.base_model))
        return self._size

    def step_memory(self) -> StepMemory:
        """What a step needs as the plan has it: counted in seconds, and nothing is loaded for it."""
        return self._memory.as_set()

    def result(self) -> TrainedLora:
        """The finished run; raises TrainingError while it is not finished."""
        return self.run.result()

    def verdict(self) -> Verdict:
        """Underfit, good or overfit, and what to change: of a finished run, or of one so far."""
        return self._judge.verdict(self.total_steps)

    def pictures(self) -> list[RankedPicture]:
        """What the LoRA has made of each picture that is measured, the hardest first; none where none is measured."""
        return rank_pictures(self._judge.reports())

    def prepare(self) -> Iterator[StageReport]:
        """Load the base model and encode the set, freeing each part once it has done its work.

        `steps` does this by itself; iterate it first to show its progress. A finished run needs none of it.

        Raises:
            TrainingError: the run is in use elsewhere, or does not fit into the memory or onto the disk.
        """
        if self.run.is_finished or self.learner is not None:
            return
        if self._team.is_first:
            RunLock.check(self.run_folder)  # before minutes are spent on what another process has done
        self.run.clear()
        check_room(self.run, self.size(), saves(self.plan, self.lengths))
        yield StageReport(stage="estimating memory", done=0, total=1)
        with self._team.first_alone():  # the others do what it has settled
            has_begun = self.run.has_begun or not self._team.is_first
            choice, told = self._memory.settle(self.run.memory, has_begun=has_begun)
        self.remarks += told
        preparation = Preparation(parts=self._parts, choice=choice, tokenizer_folders=self.tokenizer_folders)
        self.learner = yield from preparation.learner()

    def steps(self) -> Iterator[Report]:
        """Train, yielding after every optimizer step; from where the run stopped, or nothing where it is finished.
        Where the plan has samples, also after every step of drawing one, and each sample.

        Closing the generator, or any error in a step, leaves a state from which the same job goes on, bit for bit.
        `run.ask` has it stop, end early as a finished run, draw its samples or keep a LoRA after the step it is at.

        Raises:
            TrainingError: too many losses are not finite, the run is in use elsewhere, or it was asked to stop.
        """
        if self.run.is_finished:
            return
        for _ in self.prepare():
            pass
        device = device_name(self.device)
        work = Work.of(self.dataset, self.plan, family=self.family.title, precision=self.precision, device=device)
        loop = TrainingLoop(parts=self._parts, learner=self.learner, work=work)
        try:
            with tf32(self.device), spared(self.device):
                if not self._team.is_first:
                    yield from loop.follow()
                    return
                with RunLock(self.run_folder), self.run.answering():
                    self.run.start(self._about())
                    yield from loop.lead()
        finally:
            self.learner = None  # whoever keeps the trainer for its result keeps no model

    def _about(self) -> dict[str, Any]:
        """What can be shown of the run without its pictures and models; no paths."""
        size = self.size()
        return {
            "name": self.run.name,
            "base": self.job.base_model.name,
            "family": self.family.title,
            "arithmetic": size.line(),
            "size": asdict(size),
            "plan": shareable(self.plan).to_json(),
        }
