"""Modules that are built before their weights are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_FILL = {function for name, function in vars(nn.init).items() if name.endswith("_") and callable(function)}
"""What gives weights the numbers that training would start from."""


class WithoutStorage(TorchFunctionMode):
    """Modules built inside have weights on the meta device, and buffers (no file holds them) with their values.

    Start values are not drawn for weights that have none, which is a third of the time that building takes.

    Only this thread is in it. accelerate's init_empty_weights, used for the same end, replaces a method of every
    module of the process: two threads that leave it in the wrong order leave each later model without weights, and
    a host builds models of its own while a page asks for the arithmetic of a run.
    """

    def __torch_function__(
        self,
        function: Callable,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        settings = dict(kwargs or {})
        if function in _FILL and (weight := args[0] if args else settings["tensor"]).is_meta:
            return weight
        if function is torch.empty and settings.get("device") is None:  # what torch's layers make weights with
            settings["device"] = "meta"
        return function(*args, **settings)
