"""Check Dataset: everything that is known of a dataset before a night of training, as a report and a sheet."""

from comfy_api.latest import io, ui

from ..trainer_core.dataset.types import Dataset
from ..trainer_core.health.report import health_report
from ..trainer_core.health.sheet import health_sheet
from ..trainer_core.training.arithmetic import run_size
from ..trainer_core.training.plan import SavingPlan, TrainingPlan
from . import host
from .health_card import health_card
from .types import DatasetSocket


class CheckDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierCheckDataset",
            display_name="Check Dataset",
            category="LoRA Atelier",
            description="Looks at a dataset as it would be trained: pictures, duplicates, sharpness, light, crops, "
            "sizes, captions, balance, and how many steps it makes. Every line says what to do.",
            search_aliases=["dataset report", "health", "duplicates", "steps", "数据集检查", "检查", "資料集檢查"],
            is_output_node=True,
            inputs=[
                DatasetSocket.Input("dataset", tooltip="A dataset at any stage; after Auto Tag nothing is left out."),
                io.Int.Input(
                    "epochs",
                    default=10,
                    min=1,
                    max=10_000,
                    tooltip="Epochs you mean to train, 1 to 10000, for the number of steps.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="Pictures per step you mean to train, 1 to 64. Buckets that never fill a batch are named.",
                ),
                io.Int.Input(
                    "save_every_epochs",
                    default=1,
                    min=0,
                    max=10_000,
                    tooltip="How often you mean to keep a LoRA, in epochs; 0: only the last. For the number of files.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", tooltip="The same dataset, so that the check can stand in the way."),
                io.String.Output("report", tooltip="The whole report, worst first."),
                io.Image.Output("sheet", tooltip="All pictures with what was noticed about each, worst first."),
            ],
        )

    @classmethod
    def execute(cls, dataset: Dataset, epochs: int, batch_size: int, save_every_epochs: int) -> io.NodeOutput:
        report = health_report(dataset, batch_size=batch_size, tokenizer=host.tokenizer())
        lines, size = report.lines(), None
        if all(image.bucket for image in dataset.images):
            plan = TrainingPlan(epochs=epochs, batch_size=batch_size, saving=SavingPlan(every_epochs=save_every_epochs))
            size = run_size(dataset, plan)
            lines = [size.line(), *lines]
        sheet = host.to_image([health_sheet(dataset, report)])
        shown = ui.PreviewImage(sheet, cls=cls).as_dict() | health_card(dataset, report, size)
        return io.NodeOutput(dataset, "\n".join(lines), sheet, ui=shown)
