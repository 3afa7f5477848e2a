"""The widgets of Noise and Loss: what guides recommend first, the rest behind "show advanced"."""

from comfy_api.latest import io

from ..trainer_core.training.plan import TimestepPlan
from .choices import choices


def noise_and_loss_inputs() -> list[io.Input]:
    return [*_main_inputs(), *_noise_inputs(), *_weighting_inputs(), *_timestep_inputs(), *_model_inputs()]


def _main_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "noise_offset",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.001,
            tooltip="Shift of a whole channel's noise, 0 to 1, so that very dark and very bright pictures are learned. "
            "0.05 to 0.1 is usual. Too much makes every picture contrasty. 0: off.",
        ),
        io.Boolean.Input(
            "noise_offset_random",
            default=False,
            advanced=True,
            tooltip="On: each visit draws its strength between 0 and noise_offset, so plain noise stays in the mix.",
        ),
        io.Int.Input(
            "multires_iterations",
            default=0,
            min=0,
            max=16,
            tooltip="Coarser layers of noise mixed in, 0 to 16: another way to dark and bright pictures and to large "
            "shapes. 6 to 10 is usual. Use it or noise_offset. 0: off.",
        ),
        io.Float.Input(
            "multires_discount",
            default=0.3,
            min=0.01,
            max=1.0,
            step=0.01,
            tooltip="What a layer counts against the finer one before it, 0.01 to 1. 0.3 is safe; 0.8 is for long "
            "runs. Without multires_iterations it does nothing.",
        ),
        io.Float.Input(
            "min_snr_gamma",
            default=0.0,
            min=0.0,
            max=100.0,
            step=0.5,
            tooltip="Almost clean timesteps, which are easy and many, count less (min-SNR). 5 is usual and often gets "
            "there in fewer steps; 1 is stronger. 0: off.",
        ),
    ]


def _noise_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "perturbation",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            advanced=True,
            tooltip="Noise that the model sees but is not asked for, 0 to 1: it learns to bear its own mistakes. 0.1 "
            "is usual. 0: off.",
        ),
        io.Boolean.Input(
            "perturbation_random",
            default=False,
            advanced=True,
            tooltip="On: each visit draws its strength between 0 and perturbation.",
        ),
    ]


def _weighting_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "debiased",
            default=False,
            advanced=True,
            tooltip="On: noisy timesteps count more, which gives firm shapes early. Choose this or min_snr_gamma.",
        ),
        io.Boolean.Input(
            "scale_v_prediction",
            default=False,
            advanced=True,
            tooltip="Only with v-prediction. On: timesteps weigh as a loss on the noise would weigh them, which "
            "favours detail.",
        ),
        io.Float.Input(
            "v_prediction_like",
            default=0.0,
            min=0.0,
            max=100.0,
            step=0.1,
            advanced=True,
            tooltip="Only with epsilon prediction: adds this many times the loss that v-prediction would have, which "
            "favours large shapes. 0: off.",
        ),
    ]


def _timestep_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "timestep_sampling",
            options=choices(TimestepPlan, "sampling"),
            default="uniform",
            advanced=True,
            tooltip="How often each timestep is drawn. uniform: all alike. logit_normal: mostly the middle. content: "
            "mostly noisy ones, where layout and shapes are made. style: mostly clean ones, where texture is made.",
        ),
        io.Int.Input(
            "first_timestep",
            default=0,
            min=0,
            max=999,
            advanced=True,
            tooltip="Cleanest timestep that is trained, 0 to 999. Raise it to leave fine detail as it is.",
        ),
        io.Int.Input(
            "last_timestep",
            default=999,
            min=0,
            max=999,
            advanced=True,
            tooltip="Noisiest timestep that is trained, first_timestep to 999. Lower it to leave layout and colour as "
            "they are.",
        ),
        io.Float.Input(
            "logit_mean",
            default=0.0,
            min=-4.0,
            max=4.0,
            step=0.1,
            advanced=True,
            tooltip="Only logit_normal: above 0 draws noisier timesteps, below 0 cleaner ones; -4 to 4.",
        ),
        io.Float.Input(
            "logit_std",
            default=1.0,
            min=0.1,
            max=10.0,
            step=0.1,
            advanced=True,
            tooltip="Only logit_normal: how far the draws spread, 0.1 to 10. 1 is usual.",
        ),
        io.Float.Input(
            "timestep_bias",
            default=3.0,
            min=1.0,
            max=10.0,
            step=0.5,
            advanced=True,
            tooltip="Only content and style: how strongly they lean to their end, 1 (not at all) to 10. 3 is usual.",
        ),
    ]


def _model_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "prediction",
            options=choices(TimestepPlan, "prediction"),
            default="as the base model",
            advanced=True,
            tooltip="What the base model was made to answer. Set it only for a v-prediction checkpoint that does not "
            "say so; the wrong one makes pictures of noise.",
        ),
        io.Combo.Input(
            "zero_terminal_snr",
            options=choices(TimestepPlan, "zero_terminal_snr"),
            default="as the base model",
            advanced=True,
            tooltip="Whether the base model was made to start from noise alone; needs v-prediction. Set it only for a "
            "checkpoint that does not say so.",
        ),
    ]
