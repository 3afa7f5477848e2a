"""Merge Datasets: several folders in one training, each with repeats of its own."""

from comfy_api.latest import io

from ..trainer_core.dataset.merge import merge
from ..trainer_core.dataset.types import Dataset
from .types import DatasetSocket


class MergeDatasets(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        one = DatasetSocket.Input(
            "dataset",
            tooltip="A dataset with its own repeats and regularisation pictures, cropped or not, captioned or not.",
        )
        return io.Schema(
            node_id="LoraAtelierMergeDatasets",
            display_name="Merge Datasets",
            category="LoRA Atelier",
            description="Trains several datasets together. Each picture keeps its repeats, caption and crop: give "
            "the folder that matters more the higher repeats.",
            search_aliases=["combine datasets", "concepts", "合并数据集", "多个数据集", "合併資料集"],
            inputs=[
                io.Autogrow.Input(
                    "datasets", template=io.Autogrow.TemplatePrefix(one, prefix="dataset", min=2, max=20)
                ),
            ],
            outputs=[DatasetSocket.Output("dataset", tooltip="All pictures, in the order of the sockets.")],
        )

    @classmethod
    def execute(cls, datasets: dict[str, Dataset]) -> io.NodeOutput:
        return io.NodeOutput(merge(list(datasets.values())))
