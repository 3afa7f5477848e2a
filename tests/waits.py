"""What a GPU would be waited for, counted on a CPU."""

from __future__ import annotations

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ONCE = {"fetched": 1}
"""The losses of all parts and the gradients' norm in one go."""


class Waits(TorchDispatchMode):
    """Counts the numbers that are read from tensors while it lasts."""

    def __init__(self, monkeypatch) -> None:
        super().__init__()
        self.found = Counter()
        for name in ("tolist", "cpu", "numpy"):
            monkeypatch.setattr(torch.Tensor, name, self._counting(getattr(torch.Tensor, name)))

    def __torch_dispatch__(self, called, types, args=(), kwargs=None):
        if called is torch.ops.aten._local_scalar_dense.default:
            self.found["read"] += 1
        return called(*args, **(kwargs or {}))

    def _counting(self, real):
        def fetch(*arguments):
            self.found["fetched"] += 1
            return real(*arguments)

        return fetch
