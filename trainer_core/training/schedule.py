"""The learning rate over a run, as a share of the full rate: a pure function of the plan, the step and the length.

Steps count from 0. A warm-up of W steps gives step s the share (s + 1) / (W + 1), so that no step is lost to a rate of
0 and step W is the first at the full rate. Behind it, progress is (s - W) / (T - W) for a run of T steps, as in
diffusers' and transformers' schedulers: 0 at step W, and just short of 1 at the last step.
"""

from __future__ import annotations

import math

from .plan import SchedulePlan


def rate_factor(plan: SchedulePlan, step: int, total_steps: int) -> float:
    """Share of the full rate, 0..1, for a 0-based step of a run of `total_steps`."""
    if step < plan.warmup_steps:
        return (step + 1) / (plan.warmup_steps + 1)
    share = _curve(plan, step - plan.warmup_steps, total_steps - plan.warmup_steps, total_steps)
    return plan.floor + (1 - plan.floor) * share


def _curve(plan: SchedulePlan, position: int, length: int, total_steps: int) -> float:
    """Share at step `position` of the `length` steps behind the warm-up, before the floor is put under it."""
    left = 1 - position / length
    match plan.name:
        case "constant":
            return 1.0
        case "linear":
            return left
        case "cosine":
            return _half_wave(position / length)
        case "cosine_with_restarts":  # whole numbers, so that rounding never puts a restart one step late
            return _half_wave(plan.cycles * position % length / length)
        case "polynomial":
            return left**plan.power
        case "rex":  # reflected exponential, Chen et al., arXiv:2107.04197
            return 2 * left / (1 + left)
        case "wsd":  # 1 - sqrt cooldown, Hägele et al., arXiv:2405.18392
            decay_steps = min(max(1, round(plan.decay_share * total_steps)), length)
            return 1 - math.sqrt(max(0, position - (length - decay_steps)) / decay_steps)


def _half_wave(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * progress))
