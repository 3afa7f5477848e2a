"""How noise becomes a picture, step by step: ComfyUI's samplers, by its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from diffusers import (
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)
from torch import Generator, Tensor

from ..picture_request import SamplerName
from .own_samplers import Predict, ddim, dpmpp_sde_karras, lcm

Sampler = Callable[[Predict, DDPMScheduler, Tensor, int, Generator], Iterator[Tensor]]
"""(predict, the model's noise schedule, white noise, steps, generator) -> the latents after each step.

All randomness comes from the generator, which is on the CPU, so that every device draws the same picture.
"""


def _scheduled(kind: type[SchedulerMixin], settings: Mapping[str, Any], *, is_random: bool) -> Sampler:
    """One of diffusers' schedulers; `is_random`: its steps draw noise."""

    def sample(
        predict: Predict, schedule: DDPMScheduler, white_BCHW: Tensor, steps: int, generator: Generator
    ) -> Iterator[Tensor]:
        # From the very last timestep, which zero-SNR models need, to the first, as ComfyUI's "normal" scheduler, but
        # dpmpp_2m and uni_pc stop a step before it. "linspace" with one step would begin at the first.
        spacing = "linspace" if steps > 1 else "trailing"
        scheduler = kind.from_config(schedule.config, timestep_spacing=spacing, **settings)
        scheduler.set_timesteps(steps, device=white_BCHW.device)
        scheduler.set_begin_index(0)  # Karras levels may share the first timestep, which would count as the second
        source = {"generator": generator} if is_random else {}
        x_BCHW = white_BCHW * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            prediction_BCHW = predict(scheduler.scale_model_input(x_BCHW, t), t)
            x_BCHW = scheduler.step(prediction_BCHW, t, x_BCHW, **source).prev_sample
            yield x_BCHW

    return sample


_KARRAS = {"use_karras_sigmas": True}
_SDE = {"algorithm_type": "sde-dpmsolver++"}

SAMPLERS: dict[SamplerName, Sampler] = {
    "euler": _scheduled(EulerDiscreteScheduler, {}, is_random=False),
    "euler_ancestral": _scheduled(EulerAncestralDiscreteScheduler, {}, is_random=True),
    "dpmpp_2m": _scheduled(DPMSolverMultistepScheduler, {}, is_random=False),
    "dpmpp_2m_karras": _scheduled(DPMSolverMultistepScheduler, _KARRAS, is_random=False),
    "dpmpp_sde_karras": dpmpp_sde_karras,
    "dpmpp_2m_sde_karras": _scheduled(DPMSolverMultistepScheduler, _KARRAS | _SDE, is_random=True),
    "ddim": ddim,
    "uni_pc": _scheduled(UniPCMultistepScheduler, {}, is_random=False),
    "lcm": lcm,
}
"""Samplers by ComfyUI's names."""
