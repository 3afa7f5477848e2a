"""What an adapter leaves out of a training step, by chance: values, ranks, or all of itself.

Drawn on the CPU from the step's seed and the adapter's name, so that every device, a resumed run, and the second
forward pass of gradient checkpointing all leave out the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rows:
    """Some pictures of a batch, where the others are computed at another time or elsewhere."""

    rows: slice
    pictures: int
    """Of the whole batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropout:
    """One adapter's chances in one step."""

    values: float
    """Chance of each inner value; the rest is scaled up by 1 / (1 - chance)."""
    ranks: float
    """Chance of each rank (or output channel) of each picture, scaled likewise."""
    module: float
    """Chance of the whole adapter; nothing is scaled, as in kohya's trainer."""
    seed: int
    name: str
    """The adapter's name in a LoRA file."""
    part: Rows | None = None
    """What of the batch an input holds, so that each picture loses what it would lose among all; None: everything."""

    def skips_module(self) -> bool:
        return bool(self.module) and torch.rand((), generator=self._generator("module")).item() < self.module

    def drop_values(self, inner: Tensor) -> Tensor:
        return inner * self._mask("values", self.values, inner.shape, inner) if self.values else inner

    def drop_ranks(self, inner: Tensor, dimension: int) -> Tensor:
        """`dimension` of `inner` holds the ranks; the first holds the pictures."""
        if not self.ranks:
            return inner
        shape = [1] * inner.dim()
        shape[0], shape[dimension] = inner.shape[0], inner.shape[dimension]
        return inner * self._mask("ranks", self.ranks, shape, inner)

    def _mask(self, purpose: str, chance: float, shape: torch.Size | list[int], like: Tensor) -> Tensor:
        pictures, *others = shape
        part = self.part or Rows(slice(None), pictures)
        kept = torch.rand((part.pictures, *others), generator=self._generator(purpose))[part.rows] >= chance
        return kept.to(like.device, like.dtype) / (1 - chance)

    def _generator(self, purpose: str) -> torch.Generator:
        text = f"{self.seed}/{self.name}/{purpose}".encode()
        seed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1
        return torch.Generator().manual_seed(seed)
