"""The widgets of LoRA Network."""

from comfy_api.latest import io

from ..trainer_core.training.plan import AdapterPlan
from . import host
from .choices import choices

NO_LORA = "none"


def lora_network_inputs() -> list[io.Input]:
    return [*_layer_inputs(), *_start_inputs(), *_advanced_inputs()]


def _layer_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "kind",
            options=choices(AdapterPlan, "kind"),
            default="lora",
            tooltip="lora: read by everything, right for most. dora: closer to full training at low rank, slower. "
            "loha: richer at the same rank, so use rank 4 to 16. lokr: the smallest files. oft: turns what a layer "
            "says without stretching it. rank and alpha are set in Train LoRA; the effect is alpha / rank.",
        ),
        io.Combo.Input(
            "targets",
            options=choices(AdapterPlan, "targets"),
            default="attention and mlp",
            tooltip="Layers that are trained. attention and mlp: the usual set. attention: fewer layers, a smaller "
            "file, less style. with convolutions: also the UNet's convolutions (LoCon), for styles with a texture of "
            "their own; larger.",
        ),
        io.Int.Input(
            "conv_rank",
            default=8,
            min=1,
            max=1024,
            tooltip="Rank of 3x3 convolutions, 1 to 1024; only with convolutions. Half of Train LoRA's rank or less is "
            "usual.",
        ),
        io.Float.Input(
            "conv_alpha",
            default=4.0,
            min=0.1,
            max=1024.0,
            step=0.5,
            tooltip="Alpha of 3x3 convolutions; only with convolutions. Their effect is conv_alpha / conv_rank; half "
            "of conv_rank is usual.",
        ),
        io.Float.Input(
            "dropout",
            default=0.0,
            min=0.0,
            max=0.99,
            step=0.05,
            tooltip="Chance that a value inside a lora or dora is left out of a step, 0 to 0.99. Try 0.1 if few "
            "pictures are learned by heart.",
        ),
        io.String.Input(
            "block_weights",
            default="",
            tooltip="Factors of the learning rate for blocks of the UNet, such as IN00-03=0, MID=0.5; 0 leaves a block "
            "out. kohya's lists of numbers are read as well. Empty: 1 everywhere.",
        ),
    ]


def _start_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "start_from",
            options=[NO_LORA, *host.list_loras()],
            default=NO_LORA,
            tooltip="A LoRA to go on from, of the same kind, targets and rank. Choose one to teach it more pictures. "
            "none: start anew.",
        ),
        io.String.Input(
            "merge_first",
            default="",
            multiline=True,
            tooltip="LoRAs merged into the base model before training, one a line as Load LoRA lists them, with their "
            "strength: style.safetensors:0.8. The new LoRA learns only what they lack; use it together with them.",
        ),
    ]


def _advanced_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "lokr_factor",
            default=0,
            min=0,
            max=1024,
            advanced=True,
            tooltip="Only lokr: size of its first matrix, up to 1024; 4 to 8 is usual, and the larger, the smaller the "
            "file. 0: as square as possible, the smallest file.",
        ),
        io.Boolean.Input(
            "rank_stabilised",
            default=False,
            advanced=True,
            tooltip="On: the effect is alpha / square root of rank instead of alpha / rank (rsLoRA), so high ranks "
            "learn as fast as low ones. Lower alpha or the rate when you turn it on.",
        ),
        io.Float.Input(
            "rank_dropout",
            default=0.0,
            min=0.0,
            max=0.99,
            step=0.05,
            advanced=True,
            tooltip="Chance that a rank (loha, lokr: an output) is left out of a step, 0 to 0.99. 0.1 to 0.3 is usual "
            "against overfitting. Not for oft.",
        ),
        io.Float.Input(
            "module_dropout",
            default=0.0,
            min=0.0,
            max=0.99,
            step=0.05,
            advanced=True,
            tooltip="Chance that a whole layer's adapter is left out of a step, 0 to 0.99. 0.1 to 0.3 is usual against "
            "overfitting.",
        ),
        io.Float.Input(
            "max_norm",
            default=0.0,
            min=0.0,
            max=1000.0,
            step=0.1,
            advanced=True,
            tooltip="Longest weight change of a layer; longer ones are scaled down after each step. 1 keeps LoRAs that "
            "are stacked from drowning each other. 0: no limit. Not for oft.",
        ),
    ]
