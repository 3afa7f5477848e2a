"""Counting the memory of tensors as they come and go, real ones or stand-ins without storage."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryCount(TorchDispatchMode):
    """Adds up the storages of all tensors that are made while the context lasts; each counts until it is let go.

    What a kernel takes for itself and gives back before it ends is not seen.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        """`known`: tensors that are there already; neither they nor views of them count."""
        super().__init__()
        self.live = self.peak = 0
        """Bytes."""
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(
        self,
        operation: torch._ops.OpOverload,
        types: Sequence[type],
        args: tuple = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, size).atexit = False

    def _drop(self, size: int) -> None:
        self.live -= size
