"""Samplers of our own. diffusers has DPM++ SDE only with a further package, LCM of at most 50 steps, and a DDIM that
steps to other timesteps than those it goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from diffusers import DDPMScheduler
from torch import Generator, Tensor

# Shape suffixes: B batch, C latent channels, H and W latent height and width, T timesteps: 0 clean .. 999 noise.

Predict = Callable[[Tensor, Tensor], Tensor]
"""The model's guided answer, in its own prediction type: (noisy latents BCHW, a timestep) -> BCHW, fp32."""

_RHO = 7.0
_SMALLEST_ALPHA = 2.0**-24
"""Stands for 0 where nothing of the picture is left, as in diffusers: sigma is then 4096 instead of infinite."""


def dpmpp_sde_karras(
    predict: Predict, schedule: DDPMScheduler, white_BCHW: Tensor, steps: int, generator: Generator
) -> Iterator[Tensor]:
    """DPM-Solver++ (2S) as a stochastic differential equation, two answers a step (Lu et al., arXiv:2211.01095).

    As k-diffusion's with r = 1/2 and eta = 1. The noise of a whole step is that of its two halves together, as on one
    Brownian path. Latents are z = x0 + sigma * noise.
    """
    sigmas_T = _sigmas(schedule)
    levels = [*_karras_levels(sigmas_T, steps), 0.0]
    z_BCHW = white_BCHW * (1 + levels[0] ** 2) ** 0.5
    for sigma, following in pairwise(levels):
        clean_BCHW = _clean_at(predict, schedule, sigmas_T, z_BCHW, sigma)
        if following:
            middle = (sigma * following) ** 0.5
            early_BCHW, late_BCHW = _white(z_BCHW, generator), _white(z_BCHW, generator)
            half_BCHW = _renoised(z_BCHW, clean_BCHW, sigma, middle, early_BCHW)
            clean_BCHW = _clean_at(predict, schedule, sigmas_T, half_BCHW, middle)
            both_BCHW = (sigma - middle) ** 0.5 * early_BCHW + (middle - following) ** 0.5 * late_BCHW
            z_BCHW = _renoised(z_BCHW, clean_BCHW, sigma, following, both_BCHW / (sigma - following) ** 0.5)
        else:
            z_BCHW = clean_BCHW
        yield z_BCHW


def ddim(
    predict: Predict, schedule: DDPMScheduler, white_BCHW: Tensor, steps: int, generator: Generator
) -> Iterator[Tensor]:
    """The answered noise stays, and the answered picture is taken further out of it (Song et al., arXiv:2010.02502)."""
    x_BCHW = white_BCHW
    for alpha, following, t in _even_steps(schedule, steps):
        clean_BCHW = _clean(schedule, predict(x_BCHW, t.to(x_BCHW.device)), x_BCHW, alpha)
        noise_BCHW = (x_BCHW - alpha**0.5 * clean_BCHW) / (1 - alpha) ** 0.5
        x_BCHW = following**0.5 * clean_BCHW + (1 - following) ** 0.5 * noise_BCHW
        yield x_BCHW


def lcm(
    predict: Predict, schedule: DDPMScheduler, white_BCHW: Tensor, steps: int, generator: Generator
) -> Iterator[Tensor]:
    """Each step answers the whole picture, which is noised again for the next (Luo et al., arXiv:2310.04378).

    For models or LoRAs distilled for it, with 4 to 8 steps and cfg 1 to 2.
    """
    x_BCHW = white_BCHW
    for alpha, following, t in _even_steps(schedule, steps):
        x_BCHW = _clean(schedule, predict(x_BCHW, t.to(x_BCHW.device)), x_BCHW, alpha)
        if following < 1:
            x_BCHW = following**0.5 * x_BCHW + (1 - following) ** 0.5 * _white(x_BCHW, generator)
        yield x_BCHW


def _even_steps(schedule: DDPMScheduler, steps: int) -> Iterator[tuple[float, float, Tensor]]:
    """(alpha of this step, alpha of the next, timestep), from the last timestep on in even steps, as ComfyUI's
    "sgm_uniform"; the last next alpha is 1, where there is no noise (Lin et al., arXiv:2305.08891, 3.3)."""
    count = schedule.config.num_train_timesteps
    timesteps = [round(count * (steps - step) / steps) - 1 for step in range(steps)]
    alphas = [schedule.alphas_cumprod[t].item() for t in timesteps]
    for t, (alpha, following) in zip(timesteps, pairwise([*alphas, 1.0]), strict=True):
        yield alpha, following, torch.tensor(t)


def _sigmas(schedule: DDPMScheduler) -> Tensor:
    """Noise against signal at every timestep (T), fp64."""
    alphas_T = schedule.alphas_cumprod.double().clamp(min=_SMALLEST_ALPHA)
    return ((1 - alphas_T) / alphas_T).sqrt()


def _karras_levels(sigmas_T: Tensor, steps: int) -> list[float]:
    """Noise levels from the highest to the lowest, dense where it is low (Karras et al., arXiv:2206.00364, eq. 5)."""
    low, high = sigmas_T[0].item() ** (1 / _RHO), sigmas_T[-1].item() ** (1 / _RHO)
    return [(high + step / max(1, steps - 1) * (low - high)) ** _RHO for step in range(steps)]


def _clean_at(predict: Predict, schedule: DDPMScheduler, sigmas_T: Tensor, z_BCHW: Tensor, sigma: float) -> Tensor:
    """The picture that the model sees behind noise of level `sigma`, asked at the nearest timestep."""
    t = (sigmas_T.log() - torch.tensor(sigma).log()).abs().argmin()
    alpha = 1 / (1 + sigma**2)
    x_BCHW = z_BCHW * alpha**0.5
    return _clean(schedule, predict(x_BCHW, t.to(z_BCHW.device)), x_BCHW, alpha)


def _clean(schedule: DDPMScheduler, prediction_BCHW: Tensor, x_BCHW: Tensor, alpha: float) -> Tensor:
    """x0 of x = sqrt(alpha) x0 + sqrt(1 - alpha) noise, from an answer in the model's prediction type."""
    signal, noise = alpha**0.5, (1 - alpha) ** 0.5
    if schedule.config.prediction_type == "v_prediction":
        return signal * x_BCHW - noise * prediction_BCHW
    return (x_BCHW - noise * prediction_BCHW) / signal


def _renoised(z_BCHW: Tensor, clean_BCHW: Tensor, sigma: float, following: float, white_BCHW: Tensor) -> Tensor:
    """An ancestral step: down below `following`, and with fresh noise up to it."""
    share = following / sigma
    return clean_BCHW + share**2 * (z_BCHW - clean_BCHW) + following * (1 - share**2) ** 0.5 * white_BCHW


def _white(like_BCHW: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like_BCHW.shape, generator=generator).to(like_BCHW.device)
