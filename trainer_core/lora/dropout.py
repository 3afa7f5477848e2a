"""What an adapter leaves out of a training step, by chance: values, ranks, or all of itself.

Which values are left out is a hash of the step's seed, the adapter's name and a value's place among all pictures. So
every device, a resumed run, a batch in parts, and the second forward pass of gradient checkpointing leave out the same;
each device finds it for itself, and a CUDA graph finds it anew from a seed that lies on the device.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

_32_BITS = 0xFFFFFFFF
_KEY_BITS = 31
"""Of a half of a key: an int32 holds it."""


Key = tuple[int, int]
"""What tells an adapter's numbers from others', in two halves."""


def seed_numbers(seed: int, pictures: int) -> Tensor:
    """What a device must know of each picture of a batch (B, 3, int64): both halves of the seed, and its place. Who
    computes some of them is given theirs."""
    return torch.tensor([(seed & _32_BITS, seed >> 32 & _32_BITS, place) for place in range(pictures)])


@cache
def keys_of(name: str) -> tuple[Key, Key]:
    """An adapter's keys for values and for ranks."""
    both = (_digest(f"{name}/{purpose}") for purpose in ("values", "ranks"))
    return tuple((one & (1 << _KEY_BITS) - 1, one >> 64 - _KEY_BITS) for one in both)


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
    numbers: Tensor
    """`seed_numbers` of the pictures, of the first at least, where the layer is."""
    name: str
    """The adapter's name in a LoRA file."""
    keys: tuple[Key, Key]
    """`keys_of` the name."""
    has_kernel: bool
    """Whether Triton's works there (families/gpu/trial.py)."""

    def skips_module(self) -> bool:
        return bool(self.module) and torch.rand((), generator=self._generator("module")).item() < self.module

    def drop_values(self, inner: Tensor) -> Tensor:
        return self._dropped(inner, self.keys[0], self.values, inner.shape) if self.values else inner

    def drop_ranks(self, inner: Tensor, dimension: int) -> Tensor:
        """`dimension` of `inner` holds the ranks; the first holds the pictures."""
        if not self.ranks:
            return inner
        shape = [1] * inner.dim()
        shape[0], shape[dimension] = inner.shape[0], inner.shape[dimension]
        are_last = shape[-1] == inner.shape[-1] > 1
        return self._dropped(inner, self.keys[1], self.ranks, torch.Size(shape), are_last=are_last)

    def _dropped(self, inner: Tensor, key: Key, chance: float, drawn: torch.Size, *, are_last: bool = False) -> Tensor:
        """`drawn`: inner's shape, with 1 where values are dropped together. `are_last`: ranks are inner's last
        dimension."""
        least = round(chance * 2**31)
        if self.has_kernel and (are_last or drawn == inner.shape) and inner.is_contiguous():
            from ..families.gpu.dropping import drop  # needs Triton

            return drop(inner, self.numbers, key, least, 1 / (1 - chance), by_ranks=are_last)
        kept = hashes(self.numbers, key, drawn) >= least
        return inner * (kept.to(inner.dtype) / (1 - chance))

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(_digest(f"{self.seed}/{self.name}/{purpose}") >> 1)


def hashes(numbers: Tensor, key: Key, shape: torch.Size) -> Tensor:
    """Evenly distributed numbers of 31 bits of such a shape (int64), whose first dimension is that of pictures."""
    low, high, first = numbers[0]
    each = math.prod(shape[1:])
    one = _mixed(low ^ key[0])
    other = _mixed(high ^ key[1] ^ one)  # of both halves, or seeds that share one would drop the same elsewhere
    place = torch.arange(shape[0] * each, device=numbers.device).add_(first * each).bitwise_and_(_32_BITS)
    hashed = _mixed(_mixed(place.bitwise_xor_(one)).bitwise_xor_(other))
    return hashed.bitwise_right_shift_(1).view(shape)


def _mixed(x: Tensor) -> Tensor:
    """The lowbias32 of C. Wellons (hash prospector): a permutation of numbers of 32 bits that mixes them well.

    In place: a CPU takes half as long again for new tensors.
    """
    x.bitwise_xor_(x >> 16).mul_(0x7FEB352D).bitwise_and_(_32_BITS)
    x.bitwise_xor_(x >> 15).mul_(0x846CA68B).bitwise_and_(_32_BITS)
    return x.bitwise_xor_(x >> 16)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
