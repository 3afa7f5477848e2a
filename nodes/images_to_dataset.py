"""Images to Dataset: pictures, captions and masks that other nodes made become a dataset."""

import torch
from comfy_api.latest import io

from ..trainer_core.dataset.from_pictures import dataset_of_pictures
from . import host
from .from_graph import keep_mask, keep_picture, only, single_pictures
from .lost import count_lost, give
from .types import DatasetSocket

_KEPT = "pictures"


class ImagesToDataset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierImagesToDataset",
            display_name="Images to Dataset",
            category="LoRA Atelier",
            description="Makes a dataset of pictures that come from other nodes, with their captions and masks, so "
            "that any loader, generator or captioner can feed a training. The pictures are kept, without loss, in "
            "output/lora_atelier/pictures.",
            search_aliases=["image list", "batch to dataset", "captions from nodes", "图像转数据集", "圖片轉資料集"],
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="Pictures: a list, batches, or both. Each picture of a batch counts."),
                io.Int.Input(
                    "repeats",
                    default=1,
                    min=1,
                    max=1000,
                    tooltip="How often each picture is seen in one epoch, 1 to 1000.",
                ),
                io.Boolean.Input(
                    "regularisation",
                    default=False,
                    tooltip="On: these are regularisation pictures, ordinary ones of the same kind of thing, which "
                    "never get the trigger word.",
                ),
                io.String.Input(
                    "captions",
                    optional=True,
                    force_input=True,
                    tooltip="Captions, one a picture in the same order, or a single one for all.",
                ),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="Masks of the subjects, one a picture in the same order. They lead Smart Crop and travel "
                    "with the pictures.",
                ),
            ],
            outputs=[DatasetSocket.Output("dataset", tooltip="The pictures with their captions, for Smart Crop.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> int:
        """Pictures that were deleted are kept anew; ComfyUI looks at the inputs itself."""
        return count_lost(_KEPT)

    @classmethod
    def execute(
        cls, images: list[torch.Tensor], repeats: list[int], regularisation: list[bool],
        captions: list[str] | None = None, masks: list[torch.Tensor] | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        progress, paths = host.Progress(), []
        pictures = single_pictures(images)
        for picture in pictures:
            paths.append(keep_picture(picture, host.pictures_folder()))
            progress.reached(len(paths), len(pictures))
        kept = [keep_mask(mask, host.masks_folder()) for mask in single_pictures(masks or [])]
        give(_KEPT, [*paths, *kept])
        dataset = dataset_of_pictures(
            paths, captions or [], kept, repeats=only(repeats), is_regularisation=only(regularisation)
        )
        return io.NodeOutput(dataset)
