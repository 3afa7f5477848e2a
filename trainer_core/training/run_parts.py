"""What preparing a run and taking its steps have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..dataset.types import Dataset
from ..job import Job
from .judging import Judge
from .plan import TrainingPlan
from .run import Run
from .samples import SampleDrawer
from .team import Team


@dataclass(frozen=True, kw_only=True, slots=True)
class RunParts:
    """One run of a job on one device: what it reads, where it writes, and who takes part."""

    job: Job
    run: Run
    dataset: Dataset
    """What is trained: the job's without the pictures that are held out."""
    lengths: Sequence[int]
    """Steps of each epoch."""
    judge: Judge
    samples: SampleDrawer
    remarks: list[str]
    """What is to be told of the run, a line each; every stage may add to it."""
    device: str
    precision: str
    team: Team

    @property
    def plan(self) -> TrainingPlan:
        return self.job.plan

    @property
    def total_steps(self) -> int:
        return sum(self.lengths)
