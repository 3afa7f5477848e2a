"""What Epoch Sheet and Preview Sample tell the page of the epochs that a run kept, to choose one by a press."""

import math
from collections.abc import Sequence
from typing import Any

from ..trainer_core.errors import TrainingError
from ..trainer_core.training.best import best_epoch
from ..trainer_core.training.reports import SavedEpoch, TrainedLora
from ..trainer_core.training.run import VALIDATION_LOG
from ..trainer_core.training.validation_report import ValidationReport, read_reports

_KEPT = "lora_atelier_epochs"
"""Key under which the page finds them."""


def kept_epochs(lora: TrainedLora, epochs: Sequence[SavedEpoch]) -> dict[str, list[dict[str, Any]]]:
    """What a node shows on the page: the run, and of each epoch its loss, on held-out pictures where there are any."""
    measured = {report.step: report for report in read_reports(lora.run_folder / VALIDATION_LOG)}
    best = _best(lora)
    shown = [
        {
            "epoch": saved.epoch,
            "step": saved.step,
            "loss": _loss(measured.get(saved.step)),
            "is_best": saved == best,
        }
        for saved in epochs
    ]
    return {_KEPT: [{"run": lora.run_folder.name, "name": lora.name, "epochs": shown}]}


def _best(lora: TrainedLora) -> SavedEpoch | None:
    try:
        return best_epoch(lora)
    except TrainingError:  # nothing was held out
        return None


def _loss(report: ValidationReport | None) -> float | None:
    if report is None:
        return None
    loss = report.training_loss if report.held_out_loss is None else report.held_out_loss
    return loss if math.isfinite(loss) else None
