"""The inputs of Train LoRA: what matters first, the rest behind "show advanced", then the sockets of the nodes beside
it."""

from comfy_api.latest import io

from . import host
from .train_lora_advanced_inputs import train_lora_advanced_inputs
from .train_lora_rate_inputs import advanced_rate_inputs, rate_inputs
from .train_lora_validation_inputs import validation_inputs
from .types import CaptionOptionsSocket, DatasetSocket, NetworkSocket, NoiseAndLossSocket, SamplesSocket


def train_lora_inputs() -> list[io.Input]:
    return [
        *_main_inputs(),
        *rate_inputs(),
        *_memory_inputs(),
        *_length_inputs(),
        *advanced_rate_inputs(),
        *train_lora_advanced_inputs(),
        *validation_inputs(),
        *_device_inputs(),
        *_sockets(),
    ]


def _main_inputs() -> list[io.Input]:
    return [
        DatasetSocket.Input("dataset", tooltip="Pictures with captions, from Auto Tag."),
        io.Combo.Input(
            "base_model",
            options=host.list_base_models(),
            tooltip="The SD1.5 or SDXL checkpoint to train on: the one you will make pictures with, or the "
            "one it descends from. The demo base is a toy for trying the graph.",
        ),
        io.String.Input(
            "name",
            default="my_lora",
            tooltip="Name of the LoRA. Letters, digits, - and _ are safe everywhere.",
        ),
        io.Int.Input(
            "epochs",
            default=10,
            min=1,
            max=10_000,
            tooltip="How often the whole set, repeats included, is seen; 1 to 10000. Most subjects need "
            "1000 to 3000 steps in all; stop earlier if the curve is flat, add epochs if pictures do not "
            "show the subject yet. Not used where steps (advanced) is above 0.",
        ),
        io.Int.Input(
            "batch_size",
            default=1,
            min=1,
            max=64,
            tooltip="Pictures per batch, 1 to 64. Higher is smoother and needs more memory: SD1.5 at 512 counts 4 GB "
            "with one, 5 with two, 7 with four; SDXL at 1024 13 GB with one, or 7 with gradient_checkpointing.",
        ),
        io.Int.Input(
            "rank",
            default=16,
            min=1,
            max=1024,
            tooltip="Capacity of the LoRA, 1 to 1024; file size grows with it. 8 to 32 for drawn characters "
            "and styles, 64 to 128 for photos of a person on SD1.5.",
        ),
        io.Float.Input(
            "alpha",
            default=8.0,
            min=0.1,
            max=1024.0,
            step=0.5,
            tooltip="Scale of the LoRA while it learns: its effect is alpha / rank. Half the rank is usual. "
            "When you change rank, change this with it.",
        ),
    ]


def _memory_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "gradient_checkpointing",
            default=False,
            tooltip="Needs much less memory and takes about a third longer. Turn it on when memory runs out.",
        ),
    ]


def _length_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "steps",
            default=0,
            min=0,
            max=1_000_000,
            advanced=True,
            tooltip="Steps after which the run ends, however many epochs that takes. Set it if you think in steps. 0: "
            "the epochs decide.",
        ),
        io.Int.Input(
            "accumulation",
            default=1,
            min=1,
            max=1024,
            advanced=True,
            tooltip="Batches per step (gradient accumulation), from 1. 4 learns as a batch four times as large would, "
            "in the memory of one, with a quarter of the steps. Raise it where batch_size does not fit.",
        ),
    ]


def _device_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "devices",
            default=1,
            min=1,
            max=64,
            optional=True,
            advanced=True,
            tooltip="How many GPUs of this machine train together, 1 to 64, each on its share of a step: batch_size "
            "times accumulation must be at least as many. They learn what one would, in less time. 1: ComfyUI's own.",
        ),
    ]


def _sockets() -> list[io.Input]:
    return [
        NetworkSocket.Input(
            "network",
            optional=True,
            tooltip="From LoRA Network: kinds of LoRA, layers, blocks, a LoRA to start from. Empty: a plain LoRA.",
        ),
        NoiseAndLossSocket.Input(
            "noise_and_loss",
            optional=True,
            tooltip="From Noise and Loss: noise offset, multires noise, min-SNR, timesteps. Empty: plain noise.",
        ),
        CaptionOptionsSocket.Input(
            "caption_options",
            optional=True,
            tooltip="From Caption Options: shuffled tags, tags left out, choices. Empty: captions as they are.",
        ),
        SamplesSocket.Input(
            "samples",
            optional=True,
            tooltip="From Samples: pictures that are drawn after each epoch, to see the LoRA grow. Empty: none.",
        ),
    ]
