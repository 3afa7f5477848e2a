"""What a UNet is trained to do: undo noise. Denoising diffusion (Ho et al., arXiv:2006.11239) on scaled latents."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from ..errors import TrainingError
from ..families.base_model import BaseModel
from .plan.loss import LossKind, LossPlan
from .plan.timesteps import ZERO_SNR_NEEDS_V, TimestepPlan
from .weighting import signal_to_noise

# Shape suffixes: B batch, C latent channels, H and W latent height and width, T timesteps: 0 clean .. 999 noise.

TIMESTEPS = 1000


def apply_prediction(model: BaseModel, plan: TimestepPlan) -> None:
    """Take a base model as the plan says it was made; the schedule, previews and metadata all follow the model.

    Raises:
        TrainingError: the plan and the base model together make zero terminal SNR without v-prediction.
    """
    prediction = model.prediction_type if plan.prediction == "as the base model" else plan.prediction
    asked = {"on": True, "off": False}
    is_zero = asked.get(plan.zero_terminal_snr, model.zero_terminal_snr)
    is_as_made = (prediction, is_zero) == (model.prediction_type, model.zero_terminal_snr)
    if is_zero and prediction == "epsilon" and not is_as_made:
        raise TrainingError(ZERO_SNR_NEEDS_V)
    model.prediction_type, model.zero_terminal_snr = prediction, is_zero


def noise_schedule(model: BaseModel) -> DDPMScheduler:
    """Stable Diffusion's schedule, rescaled to zero terminal SNR (Lin et al., arXiv:2305.08891) where the model is."""
    return DDPMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=model.prediction_type,
        rescale_betas_zero_snr=model.zero_terminal_snr,
        clip_sample=False,  # for pixels; samplers made from this schedule would clip latents
    )


def target(schedule: DDPMScheduler, x_BCHW: Tensor, noise_BCHW: Tensor, t_B: Tensor) -> Tensor:
    """What the UNet should answer: the noise, or the velocity (Salimans & Ho, arXiv:2202.00512)."""
    if schedule.config.prediction_type == "v_prediction":
        return schedule.get_velocity(x_BCHW, noise_BCHW, t_B)
    return noise_BCHW


def huber_thresholds(plan: LossPlan, schedule: DDPMScheduler) -> Tensor:
    """The error at which huber and smooth_l1 bend, at every timestep (T), fp32 on the CPU.

    Khrapov et al., arXiv:2403.16728, with kohya's schedules: c^(t / T), or (1 - c) / (1 + sigma)^2 + c with
    sigma = 1 / sqrt(SNR).
    """
    c = plan.huber_c
    if plan.huber_schedule == "exponential":
        thresholds_T = c ** (torch.arange(TIMESTEPS, dtype=torch.float64) / TIMESTEPS)
    elif plan.huber_schedule == "snr":
        thresholds_T = (1 - c) / (1 + signal_to_noise(schedule).rsqrt()) ** 2 + c
    else:
        thresholds_T = torch.full((TIMESTEPS,), c)
    return thresholds_T.float()


def loss_per_picture(
    predicted_BCHW: Tensor,
    target_BCHW: Tensor,
    mask_B1HW: Tensor | None = None,
    kind: LossKind = "l2",
    threshold_B: Tensor | None = None,
) -> Tensor:
    """Mean error of each picture (B), in fp32; places count by `mask_B1HW`, 0 to 1.

    The mean is over all places, masked ones too, as in kohya's trainer: a small subject pulls less than a large one.
    `threshold_B` is for huber and smooth_l1, from `huber_thresholds`; l2 has none.
    """
    error_BCHW = F.mse_loss(predicted_BCHW.float(), target_BCHW.float(), reduction="none")
    if kind != "l2":
        error_BCHW = _bent(error_BCHW, kind, threshold_B[:, None, None, None])
    return (error_BCHW if mask_B1HW is None else error_BCHW * mask_B1HW).mean((1, 2, 3))


def _bent(square_BCHW: Tensor, kind: LossKind, c_B111: Tensor) -> Tensor:
    """2 (sqrt(d^2 + c^2) - c) of squared errors d^2, times c for huber; written without the difference, which
    would lose small errors to rounding."""
    root_BCHW = (square_BCHW + c_B111**2).sqrt()
    smooth_BCHW = 2 * square_BCHW / (root_BCHW + c_B111)
    return smooth_BCHW * c_B111 if kind == "huber" else smooth_BCHW
