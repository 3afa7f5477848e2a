"""Epoch Sheet: the same prompts as the base model and every kept epoch draw them, on one picture."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io, ui
from PIL import Image

from ..trainer_core.epoch_pictures import DrawnCell, draw_cells, epoch_columns, sheet_rows
from ..trainer_core.epoch_sheet import SheetColumn, SheetRow, epoch_sheet
from ..trainer_core.errors import TrainingError
from ..trainer_core.training.plan import SamplePlan
from ..trainer_core.training.reports import TrainedLora
from ..trainer_core.training.validation_report import read_reports
from . import host
from .epoch_sheet_inputs import epoch_sheet_inputs
from .kept_epochs import kept_epochs
from .previewing import previewer_of

_REMEDY = "Choose a smaller width and height."


class EpochSheet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierEpochSheet",
            display_name="Epoch Sheet",
            category="LoRA Atelier",
            description="Draws your prompts with every epoch that was kept, beside the base model, to choose the epoch "
            "and the strength by eye.",
            search_aliases=[
                "xy plot",
                "compare epochs",
                "best epoch",
                "strength",
                "对比",
                "轮次对比",
                "XY图表",
                "比較",
                "輪次比較",
            ],
            is_output_node=True,
            inputs=epoch_sheet_inputs(),
            outputs=[
                io.Image.Output(
                    "sheet",
                    tooltip="Epochs from left to right, prompts and strengths downwards, losses below.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, lora: TrainedLora, prompts: str, negative: str, strengths: str, width: int, height: int, steps: int,
        cfg: float, sampler: str, seed: int, cell: int,
    ) -> io.NodeOutput:  # fmt: skip
        plan = SamplePlan(
            prompts=prompts, negative=negative, width=width, height=height, steps=steps, cfg=cfg, sampler=sampler,
            seed=seed,
        )  # fmt: skip
        columns = epoch_columns(lora, read_reports(lora.run_folder / "validation.jsonl"))
        rows = sheet_rows(plan.requests(), _strengths(strengths))
        empty = epoch_sheet(columns, rows, {}, cell=cell)
        progress = host.Progress()
        progress.reached(0, 1, lambda: empty)
        with host.machine_to_ourselves(host.Work("drawing the epoch sheet"), _REMEDY):
            sheet = _fill(lora, columns, rows, cell, progress)
        progress.finish(sheet)
        image = host.to_image([sheet])
        return io.NodeOutput(image, ui=ui.PreviewImage(image, cls=cls).as_dict() | kept_epochs(lora, lora.epochs))


def _fill(
    lora: TrainedLora, columns: Sequence[SheetColumn], rows: Sequence[SheetRow], cell: int, progress: host.Progress
) -> Image.Image:
    """Draw cell by cell; the node shows the sheet while it fills."""
    pictures: dict[tuple[int, int], Image.Image] = {}
    total = len(columns) * sum(row.request.steps for row in rows)
    done = 0
    for found in draw_cells(previewer_of(lora), columns, rows, cell):
        if isinstance(found, DrawnCell):
            pictures[found.row, found.column] = found.picture
            done += rows[found.row].request.steps
            progress.reached(done, total, lambda: epoch_sheet(columns, rows, pictures, cell=cell))
        else:
            progress.reached(done + found.done, total)
    return epoch_sheet(columns, rows, pictures, cell=cell)


def _strengths(text: str) -> list[float]:
    """ "0.6, 0.8, 1" as numbers, each once; separated by commas or spaces.

    Raises:
        TrainingError: not numbers from -2 to 2.
    """
    words = text.replace(",", " ").replace("，", " ").split()
    try:
        found = list(dict.fromkeys(float(word) for word in words))
    except ValueError:
        found = []
    if not found or not all(-2 <= strength <= 2 for strength in found):
        raise TrainingError(f"strengths must be numbers from -2 to 2, got {text!r}. Write them as in 0.6, 0.8, 1.")
    return found
