"""Which kept LoRA of a run is the best one by what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from ..errors import TrainingError
from .reports import SavedEpoch, TrainedLora
from .run import VALIDATION_LOG
from .validation_report import ValidationReport, read_reports

NONE_IS_BEST = (
    "no kept epoch was measured on held-out pictures, so none can be called the best. Train with held_out_share 0.1, "
    "or choose an epoch by its pictures."
)


def lowest_step(reports: Iterable[ValidationReport]) -> int | None:
    """The step with the lowest loss on held-out pictures; of equal ones the earlier. None where none has one."""
    losses = ((report.held_out_loss, report.step) for report in reports)
    measured = [(loss, step) for loss, step in losses if loss is not None and math.isfinite(loss)]
    return min(measured)[1] if measured else None


def best_step(run_folder: Path, kept: Iterable[int]) -> int | None:
    """`lowest_step` of the steps whose LoRAs are kept."""
    steps = set(kept)
    return lowest_step(report for report in read_reports(run_folder / VALIDATION_LOG) if report.step in steps)


def best_epoch(lora: TrainedLora) -> SavedEpoch:
    """The kept LoRA with the lowest loss on held-out pictures; of equal ones the earlier.

    Raises:
        TrainingError: nothing was held out, or no kept LoRA was measured.
    """
    kept = {saved.step: saved for saved in lora.epochs}
    best = best_step(lora.run_folder, kept)
    if best is None:
        raise TrainingError(NONE_IS_BEST)
    return kept[best]
