"""Which kept LoRA of a run is the best one by what was measured."""

from __future__ import annotations

import math

from ..errors import TrainingError
from .reports import SavedEpoch, TrainedLora
from .run import VALIDATION_LOG
from .validation_report import read_reports


def best_epoch(lora: TrainedLora) -> SavedEpoch:
    """The kept LoRA with the lowest loss on held-out pictures; of equal ones the earlier.

    Raises:
        TrainingError: nothing was held out, or no kept LoRA was measured.
    """
    reports = {report.step: report.held_out_loss for report in read_reports(lora.run_folder / VALIDATION_LOG)}
    measured = [
        (loss, saved.step, saved)
        for saved in lora.epochs
        if (loss := reports.get(saved.step)) is not None and math.isfinite(loss)
    ]
    if not measured:
        raise TrainingError(
            "no kept epoch was measured on held-out pictures, so none can be called the best. Train with "
            "held_out_share 0.1, or choose an epoch by its pictures."
        )
    return min(measured, key=lambda entry: entry[:2])[2]
