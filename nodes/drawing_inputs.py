"""The widgets of every node that draws pictures: size, sampler, seed."""

from typing import get_args

from comfy_api.latest import io

from ..trainer_core.picture_request import SamplerName


def drawing_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "width",
            default=512,
            min=32,
            max=2048,
            step=8,
            tooltip="Width in pixels, 32 to 2048. As in Smart Crop: 512 for SD1.5, 1024 for SDXL, "
            "32 for the demo base.",
        ),
        io.Int.Input(
            "height",
            default=512,
            min=32,
            max=2048,
            step=8,
            tooltip="Height in pixels, 32 to 2048. As in Smart Crop: 512 for SD1.5, 1024 for SDXL, "
            "32 for the demo base.",
        ),
        io.Int.Input(
            "steps",
            default=20,
            min=1,
            max=200,
            tooltip="Sampling steps, 1 to 200. 20 is enough to judge a LoRA.",
        ),
        io.Float.Input(
            "cfg",
            default=7.0,
            min=1.0,
            max=30.0,
            step=0.1,
            tooltip="How closely the prompt is followed, 1 to 30. 7 for SD1.5, 5 to 7 for SDXL, 3 for the demo base.",
        ),
        io.Combo.Input(
            "sampler",
            options=list(get_args(SamplerName)),
            default="euler",
            tooltip="How noise becomes a picture. euler is a good judge.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**53 - 1,
            control_after_generate=False,
            tooltip="Start of chance. Keep it to compare LoRAs; change it for other pictures.",
        ),
    ]
