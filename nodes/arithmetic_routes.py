"""How large a training would be and how long it would take, while its widgets are being set."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from aiohttp import web

from ..trainer_core.dataset.types import Dataset
from ..trainer_core.devices import device_name
from ..trainer_core.errors import TrainingError
from ..trainer_core.families.architecture import outline_of
from ..trainer_core.runs import pictures
from ..trainer_core.runs.pace import Work, expected_seconds_per_step
from ..trainer_core.runs.summary import find_run
from ..trainer_core.training.arithmetic import run_size
from ..trainer_core.training.batches import check_trainable
from ..trainer_core.training.holdout import hold_out
from ..trainer_core.training.precision import resolve_precision
from ..trainer_core.training.validation import measuring_share
from . import host
from .arithmetic import dataset_of, part_of, plan_of
from .routes import Routes


def add_arithmetic_routes(routes: Routes) -> None:
    # nothing is changed, but a graph is too long for an address
    routes.changes("/arithmetic", _count, takes_long=True)


def _count(request: web.Request, training: dict[str, Any]) -> dict[str, Any]:
    """The size of the run, "held_out" pictures beside it, and "seconds" that its steps and its measuring take, null
    where no run was like it on this machine."""
    plan = plan_of(training)
    source = part_of(training, "dataset", dict)
    whole = dataset_of(source) if source else _dataset_of_run(training.get("run"))
    split = hold_out(whole, plan.validation)
    check_trainable(split.training, plan)
    widgets = part_of(training, "again", dict) or part_of(training, "train", dict)
    outline = outline_of(host.find_base_model(str(widgets.get("base_model"))))
    size = run_size(split.training, plan, outline)
    device = host.device()
    precision = resolve_precision(plan.precision.training, device)
    work = Work.of(split.training, plan, family=outline.title, precision=precision, device=device_name(device))
    pace = expected_seconds_per_step(host.runs_folder(), work)
    measuring = measuring_share(
        plan.validation.every_epochs,
        pictures=size.pictures + len(split.held_out),
        epochs=size.epochs,
        shown=size.steps * size.batch_size * size.accumulation,
    )
    return {
        "size": asdict(size),
        "held_out": len(split.held_out),
        "seconds": size.steps * pace * (1 + measuring) if pace else None,
    }


def _dataset_of_run(run: Any) -> Dataset:
    if not isinstance(run, str):
        raise TrainingError("this dataset is not known before the graph is run. Queue it once.")
    return pictures.dataset_of(find_run(host.runs_folder(), run))
