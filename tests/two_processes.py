"""What two processes do together, for test_parallel.py: torchrun runs this file, once for all of its tests.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m tests.two_processes FOLDER

Each scene trains a job in a runs folder of its own name, and writes down what came of it: FOLDER/said-<rank>.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from unittest import mock

import torch
from torch import distributed

from tests.tapes import AS_ON_A_GPU, OnTape
from trainer_core.errors import TrainingError
from trainer_core.job import read_job
from trainer_core.training.adamw import AdamW
from trainer_core.training.learner import Learner
from trainer_core.training.reports import StepReport
from trainer_core.training.team import Processes
from trainer_core.training.trainer import Trainer

_STEP = AdamW._step_of_span


def trained(folder: Path, job: str, scene: str, disturb: Callable[[Trainer], None] = lambda trainer: None) -> str:
    """Train to the end, in a team of its own; what was said, if anything went wrong."""
    team = Processes()
    trainer = Trainer(read_job(folder / f"{job}.json"), folder / scene, team=team)
    try:
        for _ in trainer.prepare():
            pass
        disturb(trainer)
        with closing(trainer.steps()) as steps:
            for report in steps:
                if isinstance(report, StepReport) and scene == "stopped" and report.step == 3 and team.is_first:
                    trainer.run.ask("stop")
    except (TrainingError, RuntimeError) as problem:
        team.leave()
        return str(problem)
    return " ".join(trainer.remarks)


def in_second(method: str, disturbed: Callable) -> Callable[[Trainer], None]:
    """Replace a method of the learner in the second process."""

    def disturb(trainer: Trainer) -> None:
        if distributed.get_rank() == 1:
            learner: Learner = trainer.learner
            setattr(learner, method, disturbed(getattr(learner, method)))

    return disturb


def short_of_memory(losses: Callable) -> Callable:
    calls = []

    def once(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        if len(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return losses(*arguments)

    return once


def failing(losses: Callable) -> Callable:
    calls = []

    def sometimes(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        if len(calls) == 4:
            raise RuntimeError("the second one is broken")
        return losses(*arguments)

    return sometimes


def not_a_number(losses: Callable) -> Callable:
    calls = []

    def sometimes(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        return losses(*arguments) * (float("nan") if len(calls) == 4 else 1)

    return sometimes


def drifting(apply: Callable) -> Callable:
    def apply_and_drift(self_optimizer: torch.optim.Optimizer, losses: torch.Tensor) -> float:
        loss = apply(self_optimizer, losses)
        with torch.no_grad():
            self_optimizer.param_groups[0]["params"][0].add_(1e-6)
        return loss

    return apply_and_drift


def giving_graphs_up(learn: Callable) -> Callable:
    """As where memory runs out within the third step."""
    calls = []

    def once(parts: object) -> torch.Tensor:
        calls.append(parts)
        if len(calls) == 3:
            learn.__self__.learn_itself()
        return learn(parts)

    return once


def main(folder: Path) -> None:
    distributed.init_process_group("gloo")
    said = {
        "together": trained(folder, "job", "together"),
        "again": trained(folder, "job", "again"),
        "continued": trained(folder, "job", "continued"),
        "stopped": trained(folder, "job", "stopped"),
        "unet": trained(folder, "unet", "unet_together"),
        "memory": trained(folder, "job", "memory", in_second("_losses", short_of_memory)),
        "failed": trained(folder, "job", "failed", in_second("_losses", failing)),
        "nan": trained(folder, "job", "nan", in_second("_losses", not_a_number)),
        "drifted": trained(folder, "job", "drifted", in_second("_apply_gradients", drifting)),
    }
    with ExitStack() as on_a_gpu:
        for name, value in AS_ON_A_GPU.items():
            on_a_gpu.enter_context(mock.patch(name, value))
        step = on_a_gpu.enter_context(mock.patch.object(AdamW, "_step_of_span", autospec=True, side_effect=_STEP))
        said |= {"graphs": trained(folder, "unet", "unet_graphs"), "recorded": str(OnTape.recorded_by_all)}
        said["in one piece"] = str(step.call_count)
        said["given up"] = trained(folder, "unet", "unet_given_up", in_second("_learn", giving_graphs_up))
        said["in one piece, given up"] = str(step.call_count)
    (folder / f"said-{distributed.get_rank()}.json").write_text(json.dumps(said), encoding="utf-8")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
