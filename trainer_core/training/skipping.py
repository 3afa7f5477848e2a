"""A step that changes nothing where the loss or a gradient is not finite, without waiting for the GPU that knows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .optimizer import trained_parameters
from .step_loss import StepLoss

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Formats in which any tensor can be multiplied by 0 or 1 to the bit, whatever its numbers mean."""


def skips_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether steps can be left out without reading why. Not Prodigy's, which reads the rate that it finds."""
    return all("d" not in group for group in optimizer.param_groups)


@torch.no_grad()
def step_unless_bad(optimizer: torch.optim.Optimizer, loss: StepLoss) -> None:
    """Take a step, or none where a number of `loss` is not finite; weights and averages are then as they were.

    Fused AdamW leaves it out by itself. Others take it, and it is undone where they did; what they count on the CPU,
    for the correction of young averages, goes on. Only of a weight without averages the first step is waited for.
    """
    is_good = loss.on_device.isfinite().all()
    moved = [weight for weight in trained_parameters(optimizer) if weight.grad is not None]
    if all(group.get("fused") for group in optimizer.param_groups):
        _step_fused(optimizer, ~is_good)
    elif all(optimizer.state.get(weight) for weight in moved):
        _step_and_undo(optimizer, is_good)
    elif loss.is_finite:
        optimizer.step()


def _step_fused(optimizer: torch.optim.Optimizer, is_bad: Tensor) -> None:
    """As torch's gradient scaler asks for it."""
    optimizer.found_inf = is_bad.float()
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf


def _step_and_undo(optimizer: torch.optim.Optimizer, is_good: Tensor) -> None:
    """The bits of a tensor afterwards: new * is_good + old * is_bad. The copies lie where the activations were."""
    kept = {
        format: torch._foreach_mul(words, (~is_good).to(format)) for format, words in _words(optimizer, is_good.device)
    }
    optimizer.step()
    for format, words in _words(optimizer, is_good.device):
        torch._foreach_mul_(words, is_good.to(format))
        torch._foreach_add_(words, kept[format])


def _words(optimizer: torch.optim.Optimizer, device: torch.device) -> Iterator[tuple[torch.dtype, list[Tensor]]]:
    """All that an optimizer changes on a device, as whole numbers, by their format. bitsandbytes has tables that all
    states share: each tensor comes once."""
    parameters = trained_parameters(optimizer)
    states = [value for parameter in parameters for value in optimizer.state[parameter].values()]
    tensors = {value.data_ptr(): value for value in [*parameters, *states] if isinstance(value, Tensor)}
    for size, format in _WORDS.items():
        own = [value for value in tensors.values() if value.element_size() == size and value.device == device]
        if own:
            yield format, [value.detach().view(format) for value in own]
