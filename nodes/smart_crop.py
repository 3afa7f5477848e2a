"""Smart Crop: each picture gets the window that is trained, around what it shows."""

from comfy_api.latest import io

from ..trainer_core.crop.crop import crop_images
from ..trainer_core.crop.proof_sheet import proof_sheet
from ..trainer_core.dataset.types import Dataset
from . import host
from .types import DatasetSocket


class SmartCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierSmartCrop",
            display_name="Smart Crop",
            category="LoRA Atelier",
            description="Chooses for each picture the part that is trained, and shows every choice on one "
            "sheet. The files stay as they are.",
            search_aliases=[
                "crop",
                "resize",
                "bucket",
                "focus",
                "face crop",
                "智能裁剪",
                "裁剪",
                "分桶",
                "智慧裁切",
            ],
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Pictures from Load Dataset."),
                io.Int.Input(
                    "width",
                    default=512,
                    min=32,
                    max=2048,
                    step=8,
                    tooltip="Width of the trained pictures in pixels, 32 to 2048. 512 for SD1.5, 1024 for "
                    "SDXL, 32 for the demo base.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=32,
                    max=2048,
                    step=8,
                    tooltip="Height of the trained pictures in pixels, 32 to 2048. 512 or 768 for SD1.5, "
                    "1024 for SDXL, 32 for the demo base.",
                ),
                io.Combo.Input(
                    "method",
                    options=["focus", "center"],
                    default="focus",
                    tooltip="focus finds what the picture shows and keeps it in the window. center cuts "
                    "around the middle: choose it if your pictures are framed already.",
                ),
                io.Boolean.Input(
                    "buckets",
                    default=False,
                    tooltip="On: each picture keeps nearly its own shape, at about the same number of "
                    "pixels, and less is cut away. Turn it on for sets that mix tall and wide pictures.",
                ),
            ],
            outputs=[
                DatasetSocket.Output("dataset", tooltip="The same pictures, each with its window."),
                io.Image.Output(
                    "proof_sheet",
                    tooltip="Every picture with its window drawn in. Look at it before you train.",
                ),
            ],
        )

    @classmethod
    def execute(cls, dataset: Dataset, width: int, height: int, method: str, buckets: bool) -> io.NodeOutput:
        progress = host.Progress()
        cropped = []
        for image in crop_images(dataset, width=width, height=height, method=method, use_buckets=buckets):
            cropped.append(image)
            progress.reached(len(cropped), len(dataset.images))
        dataset = dataset.with_images(tuple(cropped))
        return io.NodeOutput(dataset, host.to_image([proof_sheet(dataset)]))
