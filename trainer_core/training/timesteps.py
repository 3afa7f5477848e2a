"""How noisy each picture of a step is made."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from .plan.timesteps import TimestepPlan


def draw_timesteps(count: int, plan: TimestepPlan, generator: Generator) -> Tensor:
    """Timesteps (count), int64 on the CPU, between the plan's first and last, both included."""
    if plan.sampling == "uniform":
        return torch.randint(plan.first, plan.last + 1, (count,), generator=generator)
    span = plan.last - plan.first + 1
    place_B = _draw_places(count, plan, generator)
    return plan.first + (place_B * span).long().clamp(max=span - 1)


def _draw_places(count: int, plan: TimestepPlan, generator: Generator) -> Tensor:
    """Places in the range, 0 its clean and 1 its noisy end, float64.

    logit_normal as Esser et al., arXiv:2403.03206, sec. 3.1; content leans to the noisy end by the power of a uniform
    draw, as Mou et al., arXiv:2302.08453, sec. 3.4, with the power 3; style is its mirror image.
    """
    if plan.sampling == "logit_normal":
        normal_B = torch.randn((count,), generator=generator, dtype=torch.float64)
        return (plan.logit_mean + plan.logit_std * normal_B).sigmoid()
    leaning_B = torch.rand((count,), generator=generator, dtype=torch.float64) ** plan.bias
    return leaning_B if plan.sampling == "style" else 1 - leaning_B
