"""The widgets of Train LoRA that say how far each step goes: rates, how they change, and the optimizer."""

from comfy_api.latest import io

from ..trainer_core.training.plan import OptimizerPlan, SchedulePlan
from .choices import choices


def rate_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "learning_rate",
            default=1e-4,
            min=0.0,
            max=10.0,
            step=1e-6,
            tooltip="How far each step goes, 0 to 10. 0.0001 is a good start. Halve it if pictures turn "
            "harsh or broken, double it if nothing is learned. Lion: a third to a tenth of it. Prodigy: 1.",
        ),
        io.Float.Input(
            "unet_rate",
            default=-1.0,
            min=-1.0,
            max=10.0,
            step=1e-6,
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
            options=choices(SchedulePlan, "name"),
            default="cosine",
            tooltip="How the rates change. cosine: falls smoothly to 0, a safe choice. cosine_with_restarts: several "
            "such waves. constant: stays, for runs judged epoch by epoch. linear: straight down. polynomial: to a "
            "power. rex: slow at first, steep at the end. wsd: constant, then a fall near the end.",
        ),
        io.Int.Input(
            "cycles",
            default=3,
            min=1,
            max=1000,
            tooltip="Waves of cosine_with_restarts, from 1; 3 to 5 are usual. Other schedulers do not use it.",
        ),
        io.Combo.Input(
            "optimizer",
            options=choices(OptimizerPlan, "name"),
            default="AdamW",
            tooltip="The rule that turns gradients into steps. AdamW suits nearly everything. The 8bit ones save "
            "memory and need bitsandbytes; Lion, Prodigy, CAME and ScheduleFree need pytorch-optimizer. Prodigy finds "
            "the rate by itself: set all rates to 1. AdamWScheduleFree: set scheduler to constant.",
        ),
    ]


def advanced_rate_inputs() -> list[io.Input]:
    return [*_schedule_inputs(), *_optimizer_inputs(), *_prodigy_inputs()]


def _schedule_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "warmup_steps",
            default=0,
            min=0,
            max=100_000,
            advanced=True,
            tooltip="Steps over which the rates climb from 0 at the start. Try 5 % of all steps if the loss "
            "jumps early.",
        ),
        io.Float.Input(
            "power",
            default=1.0,
            min=0.1,
            max=100.0,
            step=0.1,
            advanced=True,
            tooltip="Only polynomial: its exponent, 0.1 to 100. 1: straight down. 2 falls early, 0.5 late.",
        ),
        io.Float.Input(
            "floor",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            advanced=True,
            tooltip="Lowest share of the full rate that a falling scheduler ends at, 0 to 1. 0.1 keeps the last steps "
            "useful.",
        ),
        io.Float.Input(
            "decay_share",
            default=0.2,
            min=0.01,
            max=1.0,
            step=0.01,
            advanced=True,
            tooltip="Only wsd: share of the run in which the rates fall, 0.01 to 1. 0.2 is usual.",
        ),
    ]


def _optimizer_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "lora_plus_ratio",
            default=1.0,
            min=1.0,
            max=100.0,
            step=0.5,
            advanced=True,
            tooltip="Rate of a LoRA's second matrices as a multiple of the first ones' (LoRA+), 1 to 100. 4 to 16 "
            "learns faster; lower learning_rate with it. 1: off. Prodigy needs 1.",
        ),
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
            "beta1",
            default=0.0,
            min=0.0,
            max=0.9999,
            step=0.0001,
            advanced=True,
            tooltip="How long the optimizer remembers the gradient's direction, up to 0.9999. 0: its own value, mostly "
            "0.9.",
        ),
        io.Float.Input(
            "beta2",
            default=0.0,
            min=0.0,
            max=0.9999,
            step=0.0001,
            advanced=True,
            tooltip="How long the optimizer remembers the gradient's size, up to 0.9999. 0: its own value, mostly "
            "0.999. 0.99 is common with Prodigy; Adafactor has none.",
        ),
    ]


def _prodigy_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "prodigy_d_coef",
            default=1.0,
            min=0.01,
            max=100.0,
            step=0.1,
            advanced=True,
            tooltip="Only Prodigy: factor on the rate that it finds, 0.01 to 100. 0.5 if it learns too fast, 2 if too "
            "slowly.",
        ),
        io.Float.Input(
            "prodigy_d0",
            default=1e-6,
            min=1e-7,
            max=1.0,
            step=1e-7,
            advanced=True,
            tooltip="Only Prodigy: the rate from which it starts to search. 0.00001 shortens the search of short runs.",
        ),
        io.Boolean.Input(
            "prodigy_bias_correction",
            default=True,
            advanced=True,
            tooltip="Only Prodigy. On: the first steps are corrected as in AdamW, so the rate is found sooner. Leave "
            "it on.",
        ),
    ]


def own_rate(rate: float) -> float | None:
    """The widget's -1 stands for the learning rate, which the plan writes as None."""
    return None if rate < 0 else rate
