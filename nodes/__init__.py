"""The nodes of LoRA Atelier, left to right."""

from comfy_api.latest import ComfyExtension, io

from .auto_tag import AutoTag
from .host import register_dataset_folder
from .load_dataset import LoadDataset
from .preview_sample import PreviewSample
from .save_lora import SaveLora
from .smart_crop import SmartCrop
from .train_lora import TrainLora


class LoraAtelier(ComfyExtension):
    async def on_load(self) -> None:
        register_dataset_folder()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LoadDataset, SmartCrop, AutoTag, TrainLora, SaveLora, PreviewSample]
