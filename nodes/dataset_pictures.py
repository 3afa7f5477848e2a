"""Dataset Pictures: the pictures of a dataset for other nodes, such as detectors, mask makers and captioners."""

from comfy_api.latest import io
from PIL import Image

from ..trainer_core.dataset.pictures import open_picture, training_pixels
from ..trainer_core.dataset.types import WHITE, Dataset, DatasetImage
from . import host
from .types import DatasetSocket


class DatasetPictures(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierDatasetPictures",
            display_name="Dataset Pictures",
            category="LoRA Atelier",
            description="Gives the pictures of a dataset to other nodes, one by one: face and object detectors, "
            "background removers, captioners. What they find goes back into Smart Crop or Images to Dataset.",
            search_aliases=["dataset to images", "image list", "数据集转图像", "資料集轉圖片"],
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Any dataset; one that is cropped gives what training sees."),
                io.Int.Input(
                    "largest_side",
                    default=1024,
                    min=0,
                    max=8192,
                    step=8,
                    tooltip="Pictures with a longer side than this many pixels are made smaller, as detectors need "
                    "no more, up to 8192. 0: full size. Connect images to Smart Crop's pictures, so that boxes fit.",
                ),
                io.Boolean.Input(
                    "cropped",
                    default=False,
                    tooltip="On: each picture as it is trained, cropped and resized. Off: the whole picture, on "
                    "which masks and boxes for Smart Crop must be found.",
                ),
            ],
            outputs=[
                io.Image.Output("images", is_output_list=True, tooltip="The pictures, in the dataset's order."),
                io.String.Output("captions", is_output_list=True, tooltip="Their captions."),
                io.String.Output("names", is_output_list=True, tooltip="Their file names."),
            ],
        )

    @classmethod
    def execute(cls, dataset: Dataset, largest_side: int, cropped: bool) -> io.NodeOutput:
        progress, images = host.Progress(), []
        for image in dataset.images:
            images.append(host.to_image([_shown(image, largest_side, cropped)]))
            progress.reached(len(images), len(dataset.images))
        captions = [image.caption for image in dataset.images]
        return io.NodeOutput(images, captions, [image.path.name for image in dataset.images])


def _shown(image: DatasetImage, largest_side: int, cropped: bool) -> Image.Image:
    picture = training_pixels(image) if cropped else open_picture(image.path, image.background or WHITE)
    if largest_side:
        picture.thumbnail((largest_side, largest_side), Image.Resampling.LANCZOS)
    return picture
