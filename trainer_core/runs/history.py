"""Everything that a page shows of one run, from its folder."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files import read_json
from ..training.kept_samples import Sample, list_samples
from ..training.picture_ranking import rank_pictures
from ..training.plan import TrainingPlan
from ..training.run import ABOUT, VALIDATION_LOG, VERDICT
from ..training.validation_report import ValidationReport, read_reports
from .saves import kept_loras
from .step_log import StepLog
from .summary import state_of

MOST_POINTS = 4000
_MOST_PICTURES = 64


def run_history(folder: Path, log: StepLog, *, points: int, is_training: bool) -> dict[str, Any]:
    """What became of a run so far, JSON-able and without paths.

    Args:
        log: the run's own; read further here.
        points: at most so many points of its curve.

    Raises:
        TrainingError: the folder is no run's, or damaged.
    """
    step, epoch = log.read()
    about = read_json(folder / ABOUT)
    told = read_json(folder / VERDICT) if (folder / VERDICT).is_file() else {"verdict": None, "remarks": []}
    reports = read_reports(folder / VALIDATION_LOG)
    state = state_of(folder, is_training=is_training)
    return {
        "run": folder.name,
        "name": about["name"],
        "base": about["base"],
        "family": about["family"],
        "state": state,
        "step": step,
        "total_steps": about["size"]["steps"],
        "epoch": epoch,
        "epochs": about["size"]["epochs"],
        "arithmetic": about["arithmetic"],
        "size": about["size"],
        "curve": asdict(log.curve(min(points, MOST_POINTS))),
        "validation": [_measured(report) for report in reports],
        "pictures": _pictures(reports),
        "samples": [_shown(sample) for sample in list_samples(folder)],
        "saves": _saves(folder, is_finished=state == "finished"),
        "verdict": told["verdict"],
        "remarks": told["remarks"],
        "plan": about["plan"],
        "defaults": TrainingPlan().to_json(),
        "folder": f"lora_atelier/runs/{folder.name}",
    }


def _measured(report: ValidationReport) -> dict[str, Any]:
    value = report.to_json()
    return {name: value[name] for name in ("epoch", "step", "training_loss", "held_out_loss")}


def _pictures(reports: list[ValidationReport]) -> list[dict[str, Any]]:
    known = [one for one in rank_pictures(reports) if math.isfinite(one.first) and math.isfinite(one.last)]
    return [picture.to_json() for picture in known[:_MOST_PICTURES]]


def _shown(sample: Sample) -> dict[str, Any]:
    request = sample.request
    return {
        "epoch": sample.epoch,
        "step": sample.step,
        "number": sample.number,
        "prompt": request.prompt,
        "negative": request.negative,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
    }


def _saves(folder: Path, *, is_finished: bool) -> list[dict[str, Any]]:
    kept = kept_loras(folder)
    return [{**one.to_json(), "is_last": is_finished and one is kept[-1]} for one in kept]
