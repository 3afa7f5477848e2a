"""The nodes of LoRA Atelier, left to right."""

from comfy_api.latest import ComfyExtension, io

from .auto_tag import AutoTag
from .caption_options import CaptionOptions
from .check_dataset import CheckDataset
from .dataset_pictures import DatasetPictures
from .epoch_sheet import EpochSheet
from .host import register_folders
from .images_to_dataset import ImagesToDataset
from .load_dataset import LoadDataset
from .lora_network import LoraNetwork
from .merge_datasets import MergeDatasets
from .noise_and_loss import NoiseAndLoss
from .page import add_routes
from .preview_sample import PreviewSample
from .samples import Samples
from .save_lora import SaveLora
from .smart_crop import SmartCrop
from .train_again import TrainAgain
from .train_lora import TrainLora


class LoraAtelier(ComfyExtension):
    async def on_load(self) -> None:
        register_folders()
        add_routes()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LoadDataset, ImagesToDataset, MergeDatasets, DatasetPictures, SmartCrop, AutoTag, CheckDataset,
            LoraNetwork, NoiseAndLoss, CaptionOptions, Samples, TrainLora, TrainAgain, SaveLora, PreviewSample,
            EpochSheet,
        ]  # fmt: skip
