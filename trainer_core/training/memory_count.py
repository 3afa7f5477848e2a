"""Counting the memory of tensors as they come and go, real ones or stand-ins without storage."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryCount(TorchDispatchMode):
    """Adds up the storages of all tensors that are made while the context lasts; each counts until it is let go.

    What was there before does not count. What a kernel takes for itself and gives back before it ends is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        """Bytes."""

    def __torch_dispatch__(
        self,
        operation: torch._ops.OpOverload,
        types: Sequence[type],
        args: tuple = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = operation(*args, **kwargs)
        given = {storage._cdata for storage in _storages((args, kwargs))}
        made = {storage._cdata: storage for storage in _storages(result)}  # views and changes in place make nothing
        for place, storage in made.items():
            if place not in given:
                self._add(storage)
        return result

    @contextmanager
    def without(self, size: int) -> Iterator[None]:
        """As if so many bytes were gone already."""
        self.live -= size
        try:
            yield
        finally:
            self.live += size

    def _add(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, size).atexit = False

    def _drop(self, size: int) -> None:
        self.live -= size


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
