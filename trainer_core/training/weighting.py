"""What each timestep's error counts, from its signal-to-noise ratio."""

from __future__ import annotations

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from ..errors import TrainingError
from .plan.weighting import WeightingPlan

# Shape suffix: T timesteps, 0 (clean) .. 999 (noise).

_LEAST_SNR, _MOST_SNR = 0.00467, 1000.0
"""Bounds for weights that would grow without end. Zero terminal SNR has an SNR of 0; the least here is that of Stable
Diffusion's own last timestep, 0.00468, so its schedule never meets it. The most is kohya's, met at timestep 0 only."""


def signal_to_noise(schedule: DDPMScheduler) -> Tensor:
    """alpha_bar / (1 - alpha_bar) of every timestep (T), float64, of the schedule as it is trained: after a rescaling
    to zero terminal SNR, where the last one is 0."""
    alpha_bar_T = schedule.alphas_cumprod.double().cpu()
    return alpha_bar_T / (1 - alpha_bar_T)


def timestep_weights(plan: WeightingPlan, schedule: DDPMScheduler) -> Tensor:
    """What a picture's loss counts at every timestep (T), fp32 on the CPU; all finite.

    min-SNR gamma (Hang et al., arXiv:2303.09556) gives the error in the picture the weight min(SNR, gamma), whatever
    the UNet answers: with zero terminal SNR and v-prediction, the last timestep counts nothing. Debiased estimation
    (Yu et al., arXiv:2310.08442) is 1 / sqrt(SNR) for the noise, and for the velocity 1 / (SNR + 1), as in kohya's
    trainer: the error in the picture counts the same at every timestep. A velocity's error is (SNR + 1) / SNR times
    the noise's, which is what the two v-prediction fields scale by.

    Raises:
        TrainingError: a field for the other prediction type.
    """
    is_velocity = schedule.config.prediction_type == "v_prediction"
    _check(plan, is_velocity)
    snr_T = signal_to_noise(schedule)
    bounded_T = snr_T.clamp(_LEAST_SNR, _MOST_SNR)
    weight_T = torch.ones_like(snr_T)
    if plan.min_snr_gamma:
        capped_T = snr_T.clamp(max=plan.min_snr_gamma)
        weight_T *= capped_T / (snr_T + 1) if is_velocity else (plan.min_snr_gamma / snr_T).clamp(max=1)
    if plan.scale_v_prediction:
        weight_T *= bounded_T / (bounded_T + 1)
    if plan.v_prediction_like:
        weight_T *= 1 + plan.v_prediction_like * (bounded_T + 1) / bounded_T
    if plan.debiased:
        weight_T *= 1 / (bounded_T + 1) if is_velocity else bounded_T.rsqrt()
    return weight_T.float()


def _check(plan: WeightingPlan, is_velocity: bool) -> None:
    if plan.scale_v_prediction and not is_velocity:
        raise TrainingError("scale v-prediction loss needs v-prediction, and this model predicts noise. Turn it off.")
    if plan.v_prediction_like and is_velocity:
        raise TrainingError("v-prediction-like loss is for models that predict noise, this one does not. Set it to 0.")
