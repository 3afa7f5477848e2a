"""Smart Crop: each picture gets the window that is trained, around what it shows."""

from comfy_api.latest import io

from ..trainer_core.crop.crop import crop_images
from ..trainer_core.crop.overrides import read_overrides
from ..trainer_core.crop.proof_sheet import proof_sheet
from ..trainer_core.crop.rules import CropRules
from ..trainer_core.dataset.types import Dataset
from ..trainer_core.health.report import health_report
from . import host
from .from_graph import boxes_of, only, with_masks
from .smart_crop_inputs import smart_crop_inputs
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
            is_input_list=True,
            inputs=smart_crop_inputs(),
            outputs=[
                DatasetSocket.Output("dataset", tooltip="The same pictures, each with its window."),
                io.Image.Output(
                    "proof_sheet",
                    tooltip="Every picture with its window drawn in. Look at it before you train.",
                ),
                io.String.Output(
                    "report",
                    tooltip="What is cut, what is enlarged, which sizes there are, and what to do about it.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, dataset: list[Dataset], width: list[int], height: list[int], method: list[str], buckets: list[bool],
        bucket_step: list[int], smallest_bucket_side: list[int], largest_bucket_side: list[int],
        enlarge: list[bool], zoom: list[bool], pad: list[bool], face_model: list[str], overrides: list[str],
        masks: list | None = None, boxes: list | None = None, pictures: list | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        rules = CropRules(
            width=only(width),
            height=only(height),
            method=only(method),
            buckets=only(buckets),
            bucket_step=only(bucket_step) or None,
            smallest_bucket_side=only(smallest_bucket_side) or None,
            largest_bucket_side=only(largest_bucket_side) or None,
            enlarge=only(enlarge),
            zoom=only(zoom),
            pad=only(pad),
        )
        whole = with_masks(only(dataset), masks, host.masks_folder())
        crops = crop_images(
            whole,
            rules,
            boxes=boxes_of(whole, boxes, pictures),
            overrides=read_overrides(only(overrides)),
            faces=host.face_finder(only(face_model)),
        )
        progress, cropped = host.Progress(), []
        for image in crops:
            cropped.append(image)
            progress.reached(len(cropped), len(whole.images))
        whole = whole.with_images(tuple(cropped))
        report = health_report(whole)
        host.show_lines(cls, report.crop_lines())
        return io.NodeOutput(whole, host.to_image([proof_sheet(whole)]), "\n".join(report.crop_lines()))
