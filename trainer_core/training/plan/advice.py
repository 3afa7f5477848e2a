"""What in a plan is allowed and yet unlikely to be meant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from .optimizer import OptimizerPlan
from .plan import TrainingPlan
from .schedule import SchedulePlan

_HIGHEST_USUAL_RATE = {"Lion": 3e-5, "Lion8bit": 3e-5, "CAME": 2e-4}
_HIGHEST_RATE = 1e-2
_FIELDS_OF_SCHEDULES = {"cycles": "cosine_with_restarts", "power": "polynomial", "decay_share": "wsd"}


def plan_warnings(plan: TrainingPlan, total_steps: int) -> list[str]:
    """One line for each setting of length and rates that is unusual or without effect: what is so, then what to
    change."""
    return [
        *_of_length(plan),
        *_of_rates(plan.optimizer),
        *_of_optimizer(plan.optimizer, plan.schedule),
        *_of_schedule(plan.schedule, total_steps),
    ]


def _of_length(plan: TrainingPlan) -> Iterator[str]:
    if plan.steps and plan.epochs != TrainingPlan().epochs:
        steps = f"steps {plan.steps} says how long the run is. Set steps to 0, or leave it."
        yield f"epochs {plan.epochs} has no effect: {steps}"


def _of_rates(plan: OptimizerPlan) -> Iterator[str]:
    highest = max(plan.rate_of_unet, plan.rate_of_text_encoder)
    if plan.name == "Prodigy":
        if highest != 1:
            yield f"Prodigy finds the rate by itself, and {highest:g} scales what it finds. Set the rates to 1."
        return
    usual = _HIGHEST_USUAL_RATE.get(plan.name, _HIGHEST_RATE)
    if highest > usual:
        yield f"a rate of {highest:g} is high for {plan.name}. Up to {usual:g} is usual."


def _of_optimizer(plan: OptimizerPlan, schedule: SchedulePlan) -> Iterator[str]:
    if plan.name == "AdamWScheduleFree" and schedule.name != "constant":
        yield (
            f"AdamWScheduleFree averages the weights instead of lowering the rate; {schedule.name} does both. "
            "Set the schedule to constant."
        )
    if plan.name != "Prodigy":
        for name in _changed(plan):
            if name.startswith("prodigy_"):
                yield f"{name} has no effect with {plan.name}. Choose Prodigy, or leave it as it was."


def _of_schedule(plan: SchedulePlan, total_steps: int) -> Iterator[str]:
    steps = total_steps - plan.warmup_steps
    if steps <= 0:
        yield (
            f"the warm-up of {plan.warmup_steps} steps is no shorter than the run of {total_steps}, so the rates never "
            f"get to their full value. Set it to {total_steps // 20}."
        )
    if plan.name == "cosine_with_restarts":
        if plan.cycles == 1:
            yield "cosine_with_restarts with 1 cycle never restarts. Set the cycles to 3, or choose cosine."
        elif plan.cycles * 2 > steps > 0:
            yield f"{plan.cycles} cycles leave less than 2 steps for each. Lower the cycles, or train for longer."
    if plan.name == "constant" and plan.floor:
        yield "the floor has no effect with the schedule constant. Choose one that falls, or set the floor to 0."
    for name in _changed(plan):
        if _FIELDS_OF_SCHEDULES.get(name, plan.name) != plan.name:
            needed = _FIELDS_OF_SCHEDULES[name]
            yield f"{name} has no effect with the schedule {plan.name}. Choose {needed}, or leave it as it was."


def _changed(plan: OptimizerPlan | SchedulePlan) -> list[str]:
    """Names of the fields that are not at their defaults."""
    return [field.name for field in dataclasses.fields(plan) if getattr(plan, field.name) != field.default]
