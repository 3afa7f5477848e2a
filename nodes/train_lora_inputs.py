"""The widgets of Train LoRA: what matters first, the rest behind "show advanced"."""

from typing import get_args, get_type_hints

from comfy_api.latest import io

from ..trainer_core.training.plan import OptimizerPlan, PrecisionPlan, SchedulePlan
from . import host
from .types import DatasetSocket


def train_lora_inputs() -> list[io.Input]:
    return [*_main_inputs(), *_rate_inputs(), *_advanced_inputs()]


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
            "show the subject yet.",
        ),
        io.Int.Input(
            "batch_size",
            default=1,
            min=1,
            max=64,
            tooltip="Pictures per step, 1 to 64. Higher is smoother and needs more memory. Leave at 1 below 12 GB.",
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


def _rate_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "learning_rate",
            default=1e-4,
            min=0.0,
            max=10.0,
            step=1e-6,
            tooltip="How far each step goes, 0 to 10. 0.0001 is a good start. Halve it if pictures turn "
            "harsh or broken, double it if nothing is learned.",
        ),
        io.Float.Input(
            "unet_rate",
            default=-1.0,
            min=-1.0,
            max=10.0,
            step=1e-6,
            advanced=True,
            tooltip="Learning rate of the image model (UNet) alone. -1: same as learning_rate. 0: not trained.",
        ),
        io.Float.Input(
            "text_encoder_rate",
            default=5e-5,
            min=-1.0,
            max=10.0,
            step=1e-6,
            tooltip="Learning rate of the text encoder alone. -1: same as learning_rate. 0: not trained, "
            "which is usual for SDXL, faster and lighter. Half the learning rate is usual for SD1.5.",
        ),
        io.Combo.Input(
            "scheduler",
            options=_choices(SchedulePlan, "name"),
            default="cosine",
            tooltip="How the rates change during the run. cosine: falls smoothly to 0, a safe choice. "
            "constant: stays, for runs you mean to judge epoch by epoch.",
        ),
        io.Int.Input(
            "warmup_steps",
            default=0,
            min=0,
            max=100_000,
            advanced=True,
            tooltip="Steps over which the rates climb from 0 at the start. Try 5 % of all steps if the loss "
            "jumps early.",
        ),
        io.Combo.Input(
            "optimizer",
            options=_choices(OptimizerPlan, "name"),
            default="AdamW",
            advanced=True,
            tooltip="The rule that turns gradients into steps. AdamW suits nearly everything.",
        ),
    ]


def _advanced_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "weight_decay",
            default=0.01,
            min=0.0,
            max=10.0,
            step=0.001,
            advanced=True,
            tooltip="Pull of the weights towards 0, from 0 up. Raise it to 0.1 if a small set is learned by heart.",
        ),
        io.Float.Input(
            "max_grad_norm",
            default=1.0,
            min=0.0,
            max=1000.0,
            step=0.1,
            advanced=True,
            tooltip="Longest step direction allowed; longer ones are shortened. 0: no limit. Leave at 1.",
        ),
        io.Float.Input(
            "prior_loss_weight",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.05,
            advanced=True,
            tooltip="How much regularisation pictures count against training pictures. 1: the same. Lower "
            "it if the subject comes out too weak. Without such pictures it does nothing.",
        ),
        io.Boolean.Input(
            "masked_loss",
            default=False,
            advanced=True,
            tooltip="On: only what a picture's mask shows is learned; masks come from Smart Crop, transparency or "
            "files. Pictures without a mask count whole. Turn it on where backgrounds creep in.",
        ),
        io.Boolean.Input(
            "flip",
            default=False,
            advanced=True,
            tooltip="On: pictures are shown mirrored half of the time, which doubles a small set. Leave it off where "
            "left and right differ: a parting, a scar, text.",
        ),
        io.Int.Input(
            "clip_skip",
            default=1,
            min=1,
            max=12,
            advanced=True,
            tooltip="Layer of the SD1.5 text encoder that is read, counted from the end, 1 to 12. 1 for "
            "photo models, 2 for anime models. SDXL does not use it.",
        ),
        io.Combo.Input(
            "precision",
            options=_choices(PrecisionPlan, "training"),
            default="auto",
            advanced=True,
            tooltip="Number format of the base model. auto: bf16, fp16 on older GPUs, fp32 on a CPU. The "
            "LoRA itself is always trained in fp32. Choose fp32 if the loss turns into nan.",
        ),
        io.Combo.Input(
            "save_precision",
            options=_choices(PrecisionPlan, "saving"),
            default="fp16",
            advanced=True,
            tooltip="Number format of the saved file. fp16 is read everywhere; fp32 is twice as large.",
        ),
        io.Boolean.Input(
            "gradient_checkpointing",
            default=False,
            tooltip="Needs much less memory and takes about a third longer. Turn it on when memory runs out.",
        ),
        io.Int.Input(
            "save_every_epochs",
            default=1,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Keep a LoRA after every so many epochs, to choose from in Save LoRA. 0: only the last.",
        ),
        io.Int.Input(
            "state_every_steps",
            default=100,
            min=0,
            max=100_000,
            advanced=True,
            tooltip="Write what is needed to go on after a crash every so many steps. 0: only when an epoch "
            "is kept or the run is stopped.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**53 - 1,
            control_after_generate=False,
            advanced=True,
            tooltip="Start of all chance in the run. The same seed and settings give the same LoRA. Change "
            "it to try your luck again.",
        ),
    ]


def _choices(plan: type, field: str) -> list[str]:
    """The values that a field of the plan can take, in the plan's order."""
    return list(get_args(get_type_hints(plan)[field]))
