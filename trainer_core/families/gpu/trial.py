"""Whether fused layers work on this machine: Triton has to be there, with a compiler that it can start."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn import functional

from ...devices import is_gpu

_MOST_OFF = {torch.float32: 1e-4, torch.bfloat16: 0.05, torch.float16: 0.01}
"""Distance from PyTorch's answers and gradients, relative to their norm: several roundings."""


@cache
def can_fuse(device: str, dtype: torch.dtype) -> bool:
    """Whether every kernel, in a model's format, gives what PyTorch gives; asked once in a process, takes seconds.
    Tried for real also where a step is only counted, on tensors without storage."""
    if not _has_gpu(device):
        return False
    try:
        if importlib.util.find_spec("triton") is None:
            return False
        with unset_fake_temporarily(), torch.inference_mode(False), torch.enable_grad():
            return _is_right(device, dtype)
    except Exception:  # noqa: BLE001 - no compiler, no driver, an old GPU: Triton has many ways to say no
        return False


def _has_gpu(device: str) -> bool:
    return is_gpu(device) and torch.cuda.is_available()


def _is_right(device: str, dtype: torch.dtype) -> bool:
    from .convolution import add
    from .few_keys import attend_few_keys, can_multiply
    from .gate import gate
    from .group_norm import group_norm
    from .layer_norm import add_and_normalise

    groups, layer = (layer.to(device, dtype).requires_grad_(False) for layer in (nn.GroupNorm(2, 12), nn.LayerNorm(12)))
    bias, shift = (torch.linspace(-1, 1, 12, device=device, dtype=dtype) for _ in range(2))

    def inputs(*shape: int) -> list[Tensor]:
        waves = torch.arange(torch.Size(shape).numel(), device=device).reshape(shape)
        return [(waves * step).sin().to(dtype).requires_grad_() for step in (0.7, 1.1)]

    def gated(x: Tensor, _: Tensor) -> Tensor:
        value, opened = (x + bias).chunk(2, dim=-1)
        return value * functional.gelu(opened)

    def attended(by: Callable[..., Tensor], x: Tensor, y: Tensor) -> Tensor:
        return by(*(one.unflatten(-1, (2, -1)).transpose(1, 2) for one in (x, y, x * y)))

    pictures, tokens = inputs(1, 12, 9, 9), inputs(1, 5, 12)
    # of SDXL's size: whether its kernels find room shows with no smaller one
    text = inputs(1, 77, 128) if can_multiply(device, dtype) else None
    return all(
        _agree(fused, plain, given, _MOST_OFF[dtype])
        for fused, plain, given in (
            (
                lambda x, _: group_norm(x, groups, shift[None], silu=True),
                lambda x, _: functional.silu(groups(x + shift[:, None, None])),
                pictures,
            ),
            (lambda x, y: add(x, y, bias), lambda x, y: x + y + bias[:, None, None], pictures),
            (lambda x, y: add_and_normalise(x, y, layer, bias)[1], lambda x, y: layer(x + y + bias), tokens),
            (lambda x, _: gate(x, bias), gated, tokens),
            (partial(attended, attend_few_keys), partial(attended, functional.scaled_dot_product_attention), text),
        )
        if given is not None
    )


def _agree(fused: Callable, plain: Callable, given: Sequence[Tensor], most_off: float) -> bool:
    """Whether answers, and gradients of the sum of their cubes, are alike. That of a norm's squares would be 0."""
    found, expected = (
        [answer, *torch.autograd.grad(answer.float().pow(3).sum(), given, allow_unused=True)]
        for answer in (fused(*given), plain(*given))
    )
    pairs = [(one.double(), other.double()) for one, other in zip(found, expected, strict=True) if other is not None]
    return all(bool((one - other).norm() <= most_off * other.norm()) for one, other in pairs)
