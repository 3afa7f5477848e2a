"""Load Dataset: a folder of pictures with captions becomes a dataset."""

from comfy_api.latest import io

from ..trainer_core.dataset.folder import FolderScan
from ..trainer_core.dataset.merge import combine
from ..trainer_core.dataset.rules import ReadingRules
from ..trainer_core.dataset.types import Dataset
from ..trainer_core.errors import TrainingError
from ..trainer_core.health.report import health_report
from ..trainer_core.health.sheet import health_sheet
from . import host
from .folders import NO_FOLDER, find_folder, fingerprint_folder, list_folders
from .health_card import health_card
from .load_dataset_inputs import load_dataset_inputs
from .types import DatasetSocket


class LoadDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierLoadDataset",
            display_name="Load Dataset",
            category="LoRA Atelier",
            description="Reads a folder of training pictures and their captions, opens every file once, and "
            "reports what is in it and what to do about it. Nothing in the folder is changed.",
            search_aliases=[
                "training images",
                "lora dataset",
                "image folder",
                "captions",
                "训练集",
                "数据集",
                "加载训练图片",
                "資料集",
                "訓練圖片",
            ],
            is_output_node=True,  # so that a folder can be looked at before anything follows it
            inputs=load_dataset_inputs(list_folders(host.picture_roots())),
            outputs=[
                DatasetSocket.Output("dataset", tooltip="The pictures with their captions, for Smart Crop."),
                io.String.Output(
                    "report",
                    tooltip="What was found, what was skipped, and what to look at before training.",
                ),
                io.Image.Output(
                    "sheet",
                    tooltip="All pictures on one sheet with what was noticed about each, worst first.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, folder: str | None) -> bool | str:
        if folder is None:  # another node gives it; it is looked for when this one is run
            return True
        try:
            find_folder(folder, host.picture_roots())
        except TrainingError as problem:
            return str(problem)
        return True

    @classmethod
    def fingerprint_inputs(cls, folder: str | None, regularisation: str | None, repeats: int, smallest_side: int,
        largest_aspect: float, background: str, transparency_as_mask: bool, caption_lines: str,
        most_unusable: float,
    ) -> list | float:  # fmt: skip
        """Files on disk; ComfyUI looks at the widgets itself. Where another node gives a folder nobody knows yet which
        it is, and NaN is never what it was before."""
        if folder is None or regularisation is None:
            return float("nan")  # math.nan is one and the same object, which ComfyUI takes for unchanged
        roots = host.picture_roots()
        names = [folder] if regularisation == NO_FOLDER else [folder, regularisation]
        return [fingerprint_folder(find_folder(name, roots)) for name in names]

    @classmethod
    def execute(
        cls, folder: str, regularisation: str, repeats: int, smallest_side: int, largest_aspect: float,
        background: str, transparency_as_mask: bool, caption_lines: str, most_unusable: float,
    ) -> io.NodeOutput:  # fmt: skip
        rules = ReadingRules(
            smallest_side=smallest_side,
            largest_aspect=largest_aspect,
            background=background,
            transparency_as_mask=transparency_as_mask,
            caption_lines=caption_lines,
            most_unusable=most_unusable / 100,
        )
        dataset = _read(folder, repeats, rules)
        if regularisation != NO_FOLDER:
            dataset = combine(dataset, _read(regularisation, 1, rules))
        report = health_report(dataset, tokenizer=host.tokenizer())
        sheet = host.to_image([health_sheet(dataset, report)])
        return io.NodeOutput(dataset, "\n".join(report.lines()), sheet, ui=health_card(dataset, report))


def _read(name: str, repeats: int, rules: ReadingRules) -> Dataset:
    progress = host.Progress()
    folder = find_folder(name, host.picture_roots())
    scan = FolderScan(folder, repeats=repeats, rules=rules, caches=host.scans_folder())
    for step in scan.steps():
        progress.reached(step.done, step.total)
    return scan.dataset()
