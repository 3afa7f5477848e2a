"""Caption Options: how a picture's caption varies from visit to visit."""

from comfy_api.latest import io

from ..trainer_core.training.plan import CaptionPlan
from .caption_options_inputs import caption_options_inputs
from .types import CaptionOptionsSocket


class CaptionOptions(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierCaptionOptions",
            display_name="Caption Options",
            category="LoRA Atelier",
            description="How captions vary while a LoRA trains: shuffled tags, tags left out, choices. Without this "
            "node every visit reads the caption as it is.",
            search_aliases=[
                "shuffle tags",
                "keep tokens",
                "caption dropout",
                "wildcards",
                "打乱标注",
                "标签丢弃",
                "打亂標註",
            ],
            inputs=caption_options_inputs(),
            outputs=[
                CaptionOptionsSocket.Output("caption_options", tooltip="For Train LoRA's socket of the same name.")
            ],
        )

    @classmethod
    def execute(
        cls, shuffle: bool, keep_first: int, caption_dropout: float, tag_dropout: float, wildcards: bool,
        keep_separator: str,
    ) -> io.NodeOutput:  # fmt: skip
        plan = CaptionPlan(
            shuffle=shuffle,
            keep_first=keep_first,
            keep_separator=keep_separator.strip(),
            caption_dropout=caption_dropout,
            tag_dropout=tag_dropout,
            wildcards=wildcards,
        )
        return io.NodeOutput(plan)
