"""The inputs of Epoch Sheet."""

from comfy_api.latest import io

from .drawing_inputs import drawing_inputs
from .types import LoraSocket


def epoch_sheet_inputs() -> list[io.Input]:
    return [
        LoraSocket.Input("lora", tooltip="The trained LoRA from Train LoRA, with all the epochs that it kept."),
        io.String.Input(
            "prompts",
            default="",
            multiline=True,
            tooltip="One picture a line, with the trigger word in it. A line may end with settings of its own: "
            "--n negative, --w width, --h height, --d seed, --s steps, --l cfg, --ss sampler. # in front leaves a line "
            "out.",
        ),
        io.String.Input(
            "negative",
            default="",
            multiline=True,
            tooltip="What to keep out of the pictures of lines without --n. May be empty.",
        ),
        io.String.Input(
            "strengths",
            default="1",
            tooltip="How strongly the LoRA acts, -2 to 2, one row each: 0.6, 0.8, 1. 1 is what was trained.",
        ),
        *drawing_inputs(),
        io.Int.Input(
            "cell",
            default=256,
            min=64,
            max=1024,
            step=8,
            advanced=True,
            tooltip="Pixels of a picture on the sheet, 64 to 1024. Raise it to see detail; with many epochs they are "
            "made smaller, so that no side of the sheet is over 8000.",
        ),
    ]
