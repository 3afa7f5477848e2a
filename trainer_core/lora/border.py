"""Frozen weights with their LoRAs around them, so that a layer and its LoRA are one multiplication.

    [ W     up ]
    [ down   0 ]

The input x, with x down^T behind its rows, times the upper part is the layer's answer; the gradient g, with g up behind
its rows, times the part on the left is the input's gradient. Added by a multiplication of its own, a LoRA would have
another tensor of the answer's size, or the input's, written and read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .low_rank import LoraLayer

if TYPE_CHECKING:  # needs Triton
    from ..families.gpu.narrow_gradients import NarrowGradients

# Shape suffixes: N sets of layers, I and O width in and out, R rank, O and R of all layers of a set together.

_RANKS = 8
"""A rank is a multiple of it: rows of half precision begin at 16 bytes, as a GPU reads them."""
_HIGHEST_RANK = 128
"""Of layers that share an input, each of whose rows is multiplied with what all make of it: from about 140 on that
takes a GPU longer than to add each one's to its answer."""
_SETS = 16
"""In one piece, which is there beside the old weights for a moment: 0.4 GB of SDXL's largest."""


@dataclass(frozen=True, slots=True, eq=False)
class Border:
    """Of layers that read the same input, whose weights and downs are below each other; each has ups of its own behind
    its weight. The weights are views: who moved the module would have them twice."""

    stack: Borders
    bases: tuple[nn.Linear, ...]
    downs_RI: Tensor
    forwards: Tensor
    """(O, I + R)"""
    backwards: Tensor
    """(O + R, I)"""

    @property
    def room(self) -> int:
        """Values behind each row."""
        return len(self.downs_RI)


class Borders:
    """Of sets of layers that are alike, in one piece, so that a pass brings all of their LoRAs there at once."""

    def __init__(self, sets: Sequence[Sequence[LoraLayer]], gradients: NarrowGradients | None = None) -> None:
        """`gradients`: where those of the LoRAs are computed; None: each for itself."""
        self.gradients = gradients
        first, count = sets[0], len(sets)
        inputs, sample = first[0].base.in_features, first[0].base.weight
        self._rows = list(pairwise(accumulate((layer.base.out_features for layer in first), initial=0)))
        self._columns = list(pairwise(accumulate((layer.rank for layer in first), initial=inputs)))
        outputs, room = self._rows[-1][1], self._columns[-1][1] - inputs
        self._whole_N = sample.new_zeros(count, outputs + room, inputs + room)
        self._downs_NRI = sample.new_empty(count, room, inputs)
        self._ups = [sample.new_empty(count, layer.base.out_features, layer.rank) for layer in first]
        for layers, whole, downs_RI, *ups in zip(sets, self._whole_N, self._downs_NRI, *self._ups, strict=True):
            bases = tuple(layer.base for layer in layers)
            border = Border(self, bases, downs_RI, whole[:outputs], whole[:, :inputs])
            parts = downs_RI.split([layer.rank for layer in layers])
            for layer, (start, end), down, up in zip(layers, self._rows, parts, ups, strict=True):
                whole[start:end, :inputs] = layer.base.weight
                layer.base.weight = nn.Parameter(whole[start:end, :inputs], requires_grad=False)
                layer.border, layer.places = border, (down, up)

    @property
    def nbytes(self) -> int:
        """What there is beside the weights."""
        weights = self._rows[-1][1] * self._downs_NRI.shape[2] * len(self._whole_N) * self._whole_N.itemsize
        return self._whole_N.nbytes - weights + self._downs_NRI.nbytes + sum(up.nbytes for up in self._ups)

    def spread(self) -> None:
        """Copy the layers' halves (halves.py) to where they are multiplied."""
        outputs, inputs = self._rows[-1][1], self._downs_NRI.shape[2]
        self._whole_N[:, outputs:, :inputs] = self._downs_NRI
        for rows, columns, ups in zip(self._rows, self._columns, self._ups, strict=True):
            self._whole_N[:, slice(*rows), slice(*columns)] = ups


def put_borders(
    sets: Iterable[Sequence[nn.Module]], gradients: Callable[[int], NarrowGradients | None] = lambda rank: None
) -> int:
    """Put borders around the weights of sets of layers that read the same input, where all can have them; by how many
    bytes that makes a model larger.

    `gradients`: where those of LoRAs of a rank are computed.
    """
    alike: dict[tuple, list[Sequence[LoraLayer]]] = defaultdict(list)
    for layers in sets:
        if all(_can_have_border(layer, alone=len(layers) == 1) for layer in layers):
            alike[tuple((*layer.base.weight.shape, layer.rank) for layer in layers)].append(layers)
    pieces = (found[start : start + _SETS] for found in alike.values() for start in range(0, len(found), _SETS))
    return sum(Borders(piece, _gradients_of(piece[0], gradients)).nbytes for piece in pieces)


def _gradients_of(
    layers: Sequence[LoraLayer], gradients: Callable[[int], NarrowGradients | None]
) -> NarrowGradients | None:
    """Of a set that has one rank."""
    ranks = {layer.rank for layer in layers}
    return gradients(*ranks) if len(ranks) == 1 else None


def _can_have_border(layer: nn.Module, *, alone: bool) -> bool:
    """Whether it is a plain LoRA on a whole linear layer in half precision. Only a layer alone has a bias, or any
    rank."""
    if type(layer) is not LoraLayer or type(layer.base) is not nn.Linear or layer.rank % _RANKS:
        return False
    is_half = layer.base.weight.dtype in (torch.bfloat16, torch.float16)
    return is_half and (alone or (layer.base.bias is None and layer.rank <= _HIGHEST_RANK))
