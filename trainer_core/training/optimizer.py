"""The optimizer and the learning rate of each step, from the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from .plan import OptimizerPlan, SchedulePlan


def make_optimizer(
    plan: OptimizerPlan, unet: Sequence[nn.Parameter], text_encoders: Sequence[nn.Parameter]
) -> torch.optim.Optimizer:
    """An optimizer with a group for each trained part; `base_rate` of a group is its rate before the schedule."""
    groups = []
    if plan.rate_of_unet:
        groups.append({"params": list(unet), "base_rate": plan.rate_of_unet})
    if plan.rate_of_text_encoder and text_encoders:
        groups.append({"params": list(text_encoders), "base_rate": plan.rate_of_text_encoder})
    kinds = {"AdamW": torch.optim.AdamW}
    return kinds[plan.name](groups, lr=plan.learning_rate, weight_decay=plan.weight_decay)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Give every group its base rate times `factor`; returns the first group's rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    return optimizer.param_groups[0]["lr"]


def rate_factor(plan: SchedulePlan, step: int, total_steps: int) -> float:
    """Share of the full rate, 0..1, for a 0-based step."""
    if step < plan.warmup_steps:
        return (step + 1) / (plan.warmup_steps + 1)
    if plan.name == "constant":
        return 1.0
    progress = (step - plan.warmup_steps) / max(1, total_steps - plan.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))
