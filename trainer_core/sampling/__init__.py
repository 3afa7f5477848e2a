"""Prompts -> pictures: a LoRA tried out on its base model."""

from ..picture_request import PictureRequest, SamplerName
from .drawing import draw_in_steps, draw_picture, encode_request
from .previewer import Previewer, apply_lora, preview, take_off
from .samplers import SAMPLERS

__all__ = [
    "SAMPLERS",
    "PictureRequest",
    "Previewer",
    "SamplerName",
    "apply_lora",
    "draw_in_steps",
    "draw_picture",
    "encode_request",
    "preview",
    "take_off",
]
