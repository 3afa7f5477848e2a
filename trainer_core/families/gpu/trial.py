"""Whether fused layers work on this machine: Triton has to be there, with a compiler that it can start."""

from __future__ import annotations

import importlib.util
from functools import cache

import torch
from torch import nn
from torch.nn import functional

from ...devices import is_gpu

_MOST_OFF = 1e-3
"""In fp32."""


@cache
def can_fuse(device: str) -> bool:
    """Whether a first kernel, compiled in a second or two, gives what PyTorch gives; asked once in a process."""
    if not _has_gpu(device) or importlib.util.find_spec("triton") is None:
        return False
    try:
        with torch.inference_mode(False), torch.enable_grad():
            return _is_right(device)
    except Exception:  # noqa: BLE001 - no compiler, no driver, an old GPU: Triton has many ways to say no
        return False


def _has_gpu(device: str) -> bool:
    return is_gpu(device) and torch.cuda.is_available()


def _is_right(device: str) -> bool:
    from .group_norm import group_norm

    layer = nn.GroupNorm(2, 12, device=device).requires_grad_(False)
    x_BCHW = torch.linspace(-1, 2, 12 * 81, device=device).sin().reshape(1, 12, 9, 9).requires_grad_()
    answers = [group_norm(x_BCHW, layer, silu=True), functional.silu(layer(x_BCHW))]
    gradients = [torch.autograd.grad(answer.square().sum(), x_BCHW)[0] for answer in answers]
    return all(torch.allclose(one, other, atol=_MOST_OFF) for one, other in (answers, gradients))
