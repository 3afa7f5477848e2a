"""The optimizer of a run: its parameter groups, their rates from step to step, and the weights that are kept.

AdamW comes with torch and Adafactor with transformers. The others are in packages that users may lack:
pytorch-optimizer (Lion, Prodigy, CAME, schedule-free AdamW) and bitsandbytes (those in 8 bits).
"""

from __future__ import annotations

import contextlib
import importlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ..errors import TrainingError
from ..lora.adapters import ParameterGroup
from .adamw import AdamW
from .eight_bits import in_bins
from .plan import OptimizerPlan

_FUSED = ("cpu", "cuda")
"""Kinds of devices where AdamW takes all its weights in one pass."""
_SIZE_OF_TRIAL = 4096  # elements; bitsandbytes keeps smaller tensors in 32 bits


def make_optimizer(
    plan: OptimizerPlan, unet: Sequence[ParameterGroup], text_encoders: Sequence[ParameterGroup]
) -> torch.optim.Optimizer:
    """An optimizer with a group for each rate of each trained part; `base_rate` is a group's rate before the schedule.

    That is the rate of the part, times the factor of the block, times LoRA+'s ratio for up matrices.

    Raises:
        TrainingError: the optimizer's package is missing or broken, LoRA+ has no up matrices to speed up, or Prodigy
            is to follow several rates.
    """
    if plan.lora_plus_ratio != 1 and not any(group.is_up for group in [*unet, *text_encoders]):
        raise TrainingError("LoRA+ needs a network with up matrices. Set its ratio to 1, or train a plain LoRA.")
    groups = []
    if plan.rate_of_unet:
        groups += _groups_by_rate(unet, plan.rate_of_unet, plan.lora_plus_ratio)
    if plan.rate_of_text_encoder:
        groups += _groups_by_rate(text_encoders, plan.rate_of_text_encoder, plan.lora_plus_ratio)
    if plan.name == "Prodigy" and len({group["base_rate"] for group in groups}) > 1:
        raise TrainingError("Prodigy finds one rate for all blocks. Set every block weight to 1 or 0, or choose AdamW.")
    return _build(plan, groups)


def check_optimizer(plan: OptimizerPlan, device: str) -> None:
    """Make one small step on `device`, so that an optimizer that cannot work fails before a run starts.

    Raises:
        TrainingError: its package is missing, broken or not made for the device.
    """
    weight = nn.Parameter(torch.zeros(_SIZE_OF_TRIAL, device=device))
    weight.grad = torch.ones_like(weight)
    try:
        _build(plan, [_group([weight], 1.0)]).step()
        weight.cpu()  # a GPU tells late what failed
    except TrainingError:
        raise
    except Exception as problem:  # whatever a package's native code raises
        raise TrainingError(
            f"{plan.name} does not work on this {device} ({_reason(problem)}). Update its package, or choose AdamW."
        ) from problem


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Give every group its base rate times `factor`; returns the first group's true rate in the step to come.

    In Prodigy that is the group's rate times d, the rate that it has found so far.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    first = optimizer.param_groups[0]
    return first["lr"] * first.get("d", 1.0)


@contextlib.contextmanager
def optimizer_for_saving(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """The weights that are to be saved or shown, while the context lasts; afterwards those that train, bit for bit.

    Schedule-free optimizers train at one point and learn another, the average of the path (arXiv:2405.15682). All
    others have one set of weights, and nothing happens. Resumable state is written outside: it holds both.
    """
    if "train_mode" not in optimizer.param_groups[0]:
        yield
        return
    weights = trained_parameters(optimizer)
    training = [weight.detach().to("cpu", copy=True) for weight in weights]  # going back by arithmetic would round
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()
        with torch.no_grad():
            for weight, value in zip(weights, training, strict=True):
                weight.copy_(value)


def trained_parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """Every parameter of an optimizer, group by group; its place in this list is its number in a saved state."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _groups_by_rate(groups: Sequence[ParameterGroup], rate: float, ratio: float) -> list[dict[str, Any]]:
    """What is at the part's own rate comes first: that rate is the one that is shown."""
    by_rate: dict[float, list[nn.Parameter]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: (group.is_up, group.rate_factor != 1)):
        by_rate[rate * group.rate_factor * (ratio if group.is_up else 1)] += group.parameters
    return [_group(parameters, base_rate) for base_rate, parameters in by_rate.items()]


def _group(parameters: list[nn.Parameter], rate: float) -> dict[str, Any]:
    return {"params": parameters, "lr": rate, "base_rate": rate}


def _build(plan: OptimizerPlan, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    betas, decay = _betas(plan), plan.weight_decay
    match plan.name:
        case "AdamW":
            in_one_pass = all(weight.device.type in _FUSED for group in groups for weight in group["params"])
            return AdamW(groups, betas=betas, weight_decay=decay, fused=in_one_pass or None)
        case "AdamW8bit":
            return in_bins(_package("bitsandbytes", plan).optim.AdamW8bit)(groups, betas=betas, weight_decay=decay)
        case "Lion":
            return _package("pytorch-optimizer", plan).Lion(groups, betas=betas, weight_decay=decay)
        case "Lion8bit":
            return in_bins(_package("bitsandbytes", plan).optim.Lion8bit)(groups, betas=betas, weight_decay=decay)
        case "Prodigy":
            return _package("pytorch-optimizer", plan).Prodigy(
                groups,
                betas=betas,
                weight_decay=decay,
                d0=plan.prodigy_d0,
                d_coef=plan.prodigy_d_coef,
                bias_correction=plan.prodigy_bias_correction,
                safeguard_warmup=True,  # without it a low rate in a warm-up inflates what is found
            )
        case "Adafactor":
            from transformers.optimization import Adafactor

            return Adafactor(
                groups,
                beta1=plan.beta1,
                weight_decay=decay,
                relative_step=False,
                scale_parameter=False,  # with it a LoRA's up matrices, which start at 0, would hardly move
            )
        case "AdamWScheduleFree":
            return _package("pytorch-optimizer", plan).ScheduleFreeAdamW(groups, betas=betas, weight_decay=decay)
        case "CAME":
            return _package("pytorch-optimizer", plan).CAME(groups, betas=(*betas, 0.9999), weight_decay=decay)


def _betas(plan: OptimizerPlan) -> tuple[float, float]:
    usual_beta2 = 0.99 if plan.name in ("Lion", "Lion8bit") else 0.999
    return 0.9 if plan.beta1 is None else plan.beta1, usual_beta2 if plan.beta2 is None else plan.beta2


def _package(name: str, plan: OptimizerPlan) -> ModuleType:
    try:
        return importlib.import_module(name.replace("-", "_"))
    except ImportError as problem:
        raise TrainingError(
            f"{plan.name} needs the package {name}. Install it (pip install {name}), or choose AdamW."
        ) from problem
    except Exception as problem:  # a package that does not fit the torch or CUDA it meets
        raise TrainingError(
            f"the package {name} cannot be loaded ({_reason(problem)}). Update it for your torch, or choose AdamW."
        ) from problem


def _reason(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0] or type(problem).__name__
