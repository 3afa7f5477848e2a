"""AdamW and Lion of bitsandbytes, which remember in 8 bits (arXiv:2110.02861), for many matrices at a time.

bitsandbytes takes a step matrix by matrix and waits for the GPU behind each, and a LoRA of SDXL has 1,444. Here it is
shown some millions of numbers as one matrix, and what it remembers of the true ones are parts of what it remembers of
that one. 8-bit numbers are scaled in blocks of 256, and each matrix begins with a block of its own: every number is the
same to the bit, and states are as bitsandbytes has them.

Where matrices have not all learned as often, as with module dropout, or blocks are of another size, as in versions
before 0.44, bitsandbytes takes the step itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .strip import parts_of

_BLOCK = 256
_MOST = 2**22
"""Numbers of a bin. With their gradients they take 32 MB, and keep a GPU busy while the next bin is asked for."""

_State = dict[str, Any]


@cache
def in_bins(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """An optimizer of bitsandbytes, but with steps of many matrices at a time."""
    return type(kind.__name__, (_InBins, kind), {})


class _InBins:
    """Goes before a class of bitsandbytes, and has it update bins instead of matrices. All are of one format and on
    one device."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bins: list[_Bin] = []
        self._binned: set[int] = set()
        """The matrices in them, by id."""

    @torch.no_grad()
    def step(self) -> None:
        if not self._are_alike():
            super().step()
            return
        learning = {id(matrix) for group in self.param_groups for matrix in _learning(group)}
        if learning != self._binned or not all(bin_.is_of(self.state) for bin_ in self._bins):
            self._put_in_bins()
            self._binned = learning
        for bin_ in self._bins:
            bin_.take()
            self.state[bin_.whole] = bin_.state
            try:
                self.update_step(self.param_groups[bin_.group], bin_.whole, bin_.group, 0)
            finally:
                del self.state[bin_.whole]
            bin_.give_back()

    def _are_alike(self) -> bool:
        """Whether all matrices that learn now have learned as often, and are remembered in such blocks."""
        taken = set()
        for index, group in enumerate(self.param_groups):
            for place, matrix in enumerate(group["params"]):
                if matrix.grad is None:  # such as those of CLIP's last layer, which clip skip leaves out
                    continue
                if not self.state[matrix]:
                    self.init_state(group, matrix, index, place)
                state = self.state[matrix]
                if "absmax1" in state and len(state["absmax1"]) != _blocks_of(matrix.numel()):
                    return False
                taken.add(state["step"])
        return len(taken) == 1

    def _contents(self, index: int) -> Iterator[list[Tensor]]:
        """The matrices of a group, for a bin each; all of a bin are remembered in one format."""
        alike = defaultdict(list)
        for matrix in _learning(self.param_groups[index]):
            alike[self.state[matrix]["state1"].dtype].append(matrix)
        for matrices in alike.values():
            yield from _cut(matrices)

    def _put_in_bins(self) -> None:
        self._bins = []  # first, for those before may be all that holds their states
        self._bins = [
            _Bin(index, matrices, [self.state[matrix] for matrix in matrices])
            for index in range(len(self.param_groups))
            for matrices in self._contents(index)
        ]
        first = self.param_groups[0]["params"][0]
        room = first.new_zeros(2, max(bin_.length for bin_ in self._bins))
        for bin_ in self._bins:
            bin_.lie_in(room)


def _learning(group: Mapping[str, Any]) -> list[Tensor]:
    return [matrix for matrix in group["params"] if matrix.grad is not None]


class _Bin:
    """Some matrices of a group as one, `whole`, with its state, into which theirs are moved."""

    def __init__(self, group: int, matrices: Sequence[Tensor], states: Sequence[_State]) -> None:
        self.group, self._matrices = group, matrices
        self._states, self.state = states, dict(states[0])
        self._shapes = [state["state1"].shape for state in states]
        blocks = [_blocks_of(shape.numel()) for shape in self._shapes]
        in_blocks = "absmax1" in self.state
        self._lengths = [count * _BLOCK for count in blocks] if in_blocks else [s.numel() for s in self._shapes]
        self.length = sum(self._lengths)
        for name in {"state1", "state2"} & self.state.keys():
            zero = int(self.state[f"qmap{name[-1]}"].abs().argmin()) if in_blocks else 0
            self._move_in(name, self._lengths, between=zero)
        for name in {"absmax1", "absmax2"} & self.state.keys():
            self._move_in(name, blocks, between=0)

    def is_of(self, states: Mapping[Tensor, _State]) -> bool:
        """Whether the matrices' states are those that were moved in; one that was loaded since is another."""
        return all(states[matrix] is state for matrix, state in zip(self._matrices, self._states, strict=True))

    def lie_in(self, room: Tensor) -> None:
        """Where weights and gradients lie during a step (2, `length` or more); other bins use the same."""
        self.whole, gradients = room[0, : self.length], room[1, : self.length]
        self.whole.grad = gradients
        self._weights = parts_of(self.whole, self._lengths, self._shapes)
        self._gradients = parts_of(gradients, self._lengths, self._shapes)
        self._has_gaps = self.length > sum(shape.numel() for shape in self._shapes)

    def take(self) -> None:
        """Weights and gradients, and zeros between them."""
        if self._has_gaps:
            self.whole.grad.zero_()
        torch._foreach_copy_(self._weights, self._matrices)
        torch._foreach_copy_(self._gradients, [matrix.grad for matrix in self._matrices])
        self.state["step"] = self._states[0]["step"]

    def give_back(self) -> None:
        torch._foreach_copy_(self._matrices, self._weights)
        for state in self._states:
            state["step"] = self.state["step"]

    def _move_in(self, name: str, lengths: Sequence[int], *, between: int) -> None:
        theirs = [state[name] for state in self._states]
        self.state[name] = theirs[0].new_full((sum(lengths),), between)
        places = parts_of(self.state[name], lengths, [tensor.shape for tensor in theirs])
        torch._foreach_copy_(places, theirs)
        for state, place in zip(self._states, places, strict=True):
            state[name] = place


def _blocks_of(numbers: int) -> int:
    return -(-numbers // _BLOCK)


def _cut(matrices: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """In order, some of `_MOST` numbers at most, or one that is larger."""
    part, size = [], 0
    for matrix in matrices:
        if part and size + matrix.numel() > _MOST:
            yield part
            part, size = [], 0
        part.append(matrix)
        size += matrix.numel()
    yield part
