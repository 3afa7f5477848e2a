"""Load Dataset: a folder of pictures with captions becomes a dataset."""

from comfy_api.latest import io

from ..trainer_core.dataset.folder import combine, read_folder
from ..trainer_core.dataset.report import dataset_report, report_lines
from ..trainer_core.errors import TrainingError
from . import host
from .folders import NO_FOLDER, find_folder, fingerprint_folder, list_folders
from .types import DatasetSocket


class LoadDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        folders = list_folders(host.picture_roots())
        return io.Schema(
            node_id="LoraAtelierLoadDataset",
            display_name="Load Dataset",
            category="LoRA Atelier",
            description="Reads a folder of training pictures and their captions, and reports what is in it. "
            "Nothing in the folder is changed.",
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
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=folders,
                    tooltip="Folder of training pictures: a sub-folder of ComfyUI's input/ or datasets/. A "
                    "caption is a .txt file named like its picture. Folders elsewhere need a datasets: line "
                    "in extra_model_paths.yaml.",
                ),
                io.Combo.Input(
                    "regularisation",
                    options=[NO_FOLDER, *folders],
                    default=NO_FOLDER,
                    tooltip="Folder of ordinary pictures of the same kind of thing (cats, if you train your "
                    "cat), so that the LoRA does not forget them. Leave at none unless every picture starts "
                    "to look like your subject.",
                ),
                io.Int.Input(
                    "repeats",
                    default=1,
                    min=1,
                    max=1000,
                    tooltip="How often each training picture is seen in one epoch, 1 to 1000. Raise it for "
                    "small sets: 10 pictures x 10 repeats x 10 epochs = 1000 steps. A folder named like "
                    "10_name sets its own number.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", tooltip="The pictures with their captions, for Smart Crop."),
                io.String.Output(
                    "report",
                    tooltip="What was found, what was skipped, and what to look at before training.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, folder: str) -> bool | str:
        try:
            find_folder(folder, host.picture_roots())
        except TrainingError as problem:
            return str(problem)
        return True

    @classmethod
    def fingerprint_inputs(cls, folder: str, regularisation: str, repeats: int) -> list:
        roots = host.picture_roots()
        names = [folder] if regularisation == NO_FOLDER else [folder, regularisation]
        return [fingerprint_folder(find_folder(name, roots)) for name in names]

    @classmethod
    def execute(cls, folder: str, regularisation: str, repeats: int) -> io.NodeOutput:
        roots = host.picture_roots()
        dataset = read_folder(find_folder(folder, roots), repeats=repeats)
        if regularisation != NO_FOLDER:
            ordinary = read_folder(find_folder(regularisation, roots), is_regularisation=True)
            dataset = combine(dataset, ordinary)
        return io.NodeOutput(dataset, "\n".join(report_lines(dataset_report(dataset))))
