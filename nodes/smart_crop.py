"""Smart Crop: each picture gets the window that is trained, around what it shows."""

from comfy_api.latest import io

from ..trainer_core.boards import Boards
from ..trainer_core.crop.board import CropBoard
from ..trainer_core.crop.crop import crop_images, set_by_hand
from ..trainer_core.crop.overrides import Overrides, read_overrides
from ..trainer_core.crop.proof_sheet import proof_sheet
from ..trainer_core.crop.rules import CropRules
from ..trainer_core.dataset.types import Dataset
from ..trainer_core.health.report import health_report
from . import host
from .from_graph import boxes_of, only, with_masks
from .smart_crop_inputs import smart_crop_inputs
from .types import DatasetSocket

_BOARD = "lora_atelier_crops"
"""Key under which the page finds the board of this run."""


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
            is_output_node=True,  # so that crops can be seen and set before anything follows them
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
        by_hand = Overrides(read_overrides(only(overrides)), whole.images)
        faces = host.face_finder(only(face_model))
        crops = crop_images(whole, rules, boxes=boxes_of(whole, boxes, pictures), faces=faces)
        progress, chosen = host.Progress(), []
        for image in crops:
            chosen.append(image)
            progress.reached(len(chosen), len(whole.images))
        board = CropBoard(dataset=whole.with_images(tuple(chosen)), rules=rules)
        cropped = set_by_hand(board.dataset, rules, by_hand)
        report = health_report(cropped)
        host.show_lines(cls, report.crop_lines())
        return io.NodeOutput(
            cropped,
            host.to_image([proof_sheet(cropped)]),
            "\n".join(report.crop_lines()),
            ui={_BOARD: [Boards(host.crop_boards_folder()).keep(board.to_json())]},
        )
