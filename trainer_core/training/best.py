"""Which kept LoRA of a run is the best one by what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from ..errors import TrainingError
from .reports import SavedEpoch, TrainedLora
from .run import VALIDATION_LOG
from .validation_report import read_reports

NONE_IS_BEST = (
    "no kept epoch was measured on held-out pictures, so none can be called the best. Train with held_out_share 0.1, "
    "or choose an epoch by its pictures."
)


def best_step(run_folder: Path, kept: Iterable[int]) -> int | None:
    """Of the steps whose LoRAs are kept, that with the lowest loss on held-out pictures; of equal ones the earlier.

    None where none of them was measured on held-out pictures.
    """
    losses = {report.step: report.held_out_loss for report in read_reports(run_folder / VALIDATION_LOG)}
    measured = {step: loss for step in kept if (loss := losses.get(step)) is not None and math.isfinite(loss)}
    return min(measured, key=lambda step: (measured[step], step), default=None)


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
