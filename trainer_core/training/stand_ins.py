"""Tensors without storage, and operations on them as a device does them: a step that is gone through, not computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def stand_in_for(module: nn.Module, dtype: torch.dtype, *, channels_last: bool = False) -> None:
    """Replace all that a module without storage holds by stand-ins, floating-point ones in `dtype`, kernels of
    convolutions in channels last if they are to be.

    To be called within a FakeTensorMode, whose tensors pretend to lie on the CPU.
    """
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                stand_in = _like(parameter, dtype)
                if channels_last and stand_in.dim() == 4:
                    stand_in = stand_in.contiguous(memory_format=torch.channels_last)
                part._parameters[name] = nn.Parameter(stand_in, requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = _like(buffer, dtype)


def _like(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(tensor.shape, dtype=dtype if tensor.is_floating_point() else tensor.dtype)


class AsOnDevice(TorchFunctionMode):
    """Operations that keep other tensors for the backward pass on a device than on a CPU: on a GPU, autocast, which
    trained text encoders are in, computes norms in fp32."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._wide = () if device.startswith("cpu") else (functional.layer_norm,)

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in self._wide and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return function(*map(_wide, args), **{name: _wide(value) for name, value in kwargs.items()})
        return function(*args, **kwargs)


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
