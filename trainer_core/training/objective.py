"""What a UNet is trained to do: undo noise. Denoising diffusion (Ho et al., arXiv:2006.11239) on scaled latents."""

from __future__ import annotations

from diffusers import DDPMScheduler
from torch import Tensor
from torch.nn import functional as F

from ..families.base_model import BaseModel

# Shape suffixes: B batch, C latent channels, H and W latent height and width. Timesteps t: 0 clean .. 999 noise.

TIMESTEPS = 1000


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


def loss_per_picture(predicted_BCHW: Tensor, target_BCHW: Tensor, mask_B1HW: Tensor | None = None) -> Tensor:
    """Mean squared error of each picture (B), in fp32; places count by `mask_B1HW`, 0 to 1.

    The mean is over all places, masked ones too, as in kohya's trainer: a small subject pulls less than a large one.
    """
    error_BCHW = F.mse_loss(predicted_BCHW.float(), target_BCHW.float(), reduction="none")
    return (error_BCHW if mask_B1HW is None else error_BCHW * mask_B1HW).mean((1, 2, 3))
