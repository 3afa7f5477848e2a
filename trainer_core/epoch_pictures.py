"""What the epoch sheet shows: its columns, its rows, and the pictures, drawn from a run's kept LoRAs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from .epoch_sheet import SheetColumn, SheetRow, cell_size, fitted
from .picture_request import PictureRequest
from .progress import StageReport, reported
from .training.reports import TrainedLora
from .training.validation_report import ValidationReport

if TYPE_CHECKING:
    from .sampling import Previewer


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DrawnCell:
    """A picture of the sheet, by its place."""

    row: int
    column: int
    picture: Image.Image


def epoch_columns(lora: TrainedLora, reports: Sequence[ValidationReport]) -> list[SheetColumn]:
    """The base model and every kept epoch, with step and losses; measured ones where there are reports of its step."""
    measured = {report.step: report for report in reports}
    columns = [SheetColumn(title="base model", facts=("step 0", *_losses(measured.get(0))), lora=None)]
    begin = 0
    for saved in lora.epochs:
        steps = [loss for loss in lora.losses[begin : saved.step] if math.isfinite(loss)]
        mean = (f"loss {sum(steps) / len(steps):.4f}",) if steps else ()
        facts = (f"step {saved.step:,}", *(_losses(measured.get(saved.step)) or mean))
        columns.append(SheetColumn(title=f"epoch {saved.epoch}", facts=facts, lora=saved.path))
        begin = saved.step
    return columns


def sheet_rows(requests: Sequence[PictureRequest], strengths: Sequence[float]) -> list[SheetRow]:
    """Every prompt at every strength, prompt by prompt."""
    return [SheetRow(request=request, strength=strength) for request in requests for strength in strengths]


def draw_cells(
    previewer: Previewer, columns: Sequence[SheetColumn], rows: Sequence[SheetRow], cell: int
) -> Iterator[StageReport | DrawnCell]:
    """Draw every picture of the sheet from one load of the base model, with progress after every sampler step.

    A column at a time, so that each LoRA is read once. The base model, and strength 0, are drawn once a request and
    shown in every row of it. Pictures come as large as they are shown, so that all of them together stay small.
    """
    side = cell_size(len(columns), len(rows), cell)
    bare: dict[PictureRequest, Image.Image] = {}
    total = len(columns) * len(rows)
    for column, state in enumerate(columns):
        for row, wish in enumerate(rows):
            is_bare = state.lora is None or wish.strength == 0
            picture = bare.get(wish.request) if is_bare else None
            if picture is None:
                stage = f"drawing picture {column * len(rows) + row + 1} of {total}"
                drawing = previewer.draw_in_steps(wish.request, state.lora, wish.strength)
                picture = fitted((yield from reported(drawing, stage, wish.request.steps)), side)
            if is_bare:
                bare[wish.request] = picture
            yield DrawnCell(row=row, column=column, picture=picture)


def _losses(report: ValidationReport | None) -> tuple[str, ...]:
    """Measured losses; that of held-out pictures only where there are any."""
    if report is None:
        return ()
    held_out = () if report.held_out_loss is None else (f"held out {report.held_out_loss:.4f}",)
    return (f"trained {report.training_loss:.4f}", *held_out)
