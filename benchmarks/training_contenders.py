"""Ours, and a plain diffusers and peft loop, each in a process of its own: `python -m` prints a line for each turn.

Both train a LoRA of the same rank on the same layers of the same UNet, with the same pictures and captions, encoded
before the first step: only the steps differ. Trainers with a Python of their own are in other_trainers.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.job import Job
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.reports import StepReport
from trainer_core.training.trainer import Trainer

from .other_trainers import RATE, SEED
from .peft_loop import peft_loop
from .step_clock import StepClock
from .task import Task

STEPS_OF_A_RUN = 3000
"""So many that compiling can pay, as in a usual run; only the first ones are taken."""


def ours(task: Task) -> Iterator[Sequence[str]]:
    """The trainer of this repository as users run it; stops after each step, with its remarks.

    Before the first step it measures the validation loss. No epoch ends and nothing is saved within the steps that are
    measured: that is not what a step costs.
    """
    setting = task.setting
    read = read_folder(Path(task.pictures), repeats=task.all_steps + 1)
    dataset = crop_dataset(read, CropRules(width=setting.side, height=setting.side))
    with tempfile.TemporaryDirectory() as runs:
        job = Job(base_model=Path(task.base), dataset=dataset, plan=plan_of(task), name="speed")
        trainer = Trainer(job, Path(runs), device=setting.device, tokenizer_folders=[Path(task.tokenizer)])
        with closing(trainer.steps()) as reports:
            for report in reports:
                if isinstance(report, StepReport):
                    yield trainer.remarks


def plan_of(task: Task) -> TrainingPlan:
    """A task as a plan of ours."""
    setting, own = task.setting, task.own
    return TrainingPlan.from_json(
        {
            "steps": max(STEPS_OF_A_RUN, task.all_steps + 1),
            "batch_size": setting.batch,
            "seed": SEED,
            "network": {"rank": setting.rank, "alpha": setting.rank},
            "optimizer": {"name": own.optimizer, "learning_rate": RATE, "text_encoder_rate": 0},
            "saving": {"every_epochs": 0},  # else there would have to be room for all of them
            "precision": {
                "training": setting.precision,
                "gradient_checkpointing": setting.checkpointing,
                "base": own.base,
                "offload": own.offload,
                "compile": own.compile,
                "cuda_graphs": own.cuda_graphs,
            },
        }
    )


CONTENDERS: dict[str, Callable[[Task], Iterator[Sequence[str]]]] = {"ours": ours, "peft": peft_loop}


def main() -> None:
    task = Task.from_command_line()
    clock = StepClock(task)
    with closing(CONTENDERS[task.contender](task)) as steps:
        for remarks in steps:
            clock.stepped(remarks)


if __name__ == "__main__":
    main()
