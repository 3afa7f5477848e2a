"""Gradients of narrow weights, such as a LoRA's, many at a time (Triton).

Each is a wide matrix of tokens, turned, times a narrow one. Alone it keeps a GPU busy only with its tokens cut into
spans, whose sums another kernel adds; some together fill it as they are. So they wait until there are enough, or for
`compute`: before that nobody may read them, or add them up, as autograd would with those of a layer that is used twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, chain

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from ..beside import beside
from .launching import is_on_hopper, launch, padded

# Shape suffixes: T tokens of all pictures, C columns of a wide matrix, R rank.

_HIGHEST_RANK = 128
"""With which a program's tiles fit into its registers."""
_MOST_TOGETHER = 16
"""In a kernel, all of one rank."""
_MOST_BYTES = 3 * 2**27
"""Of wide matrices that wait, and would else be let go. While a graph is recorded those before them are there too."""
_EACH = 8
"""Values. Ranks, widths and distances of rows are multiples of it, so that 16 bytes are read at a time."""
_COLUMNS, _TOKENS = 64, 64
"""Of a tile of a wide matrix; a program takes one after the other of the same columns."""


@dataclass(frozen=True, slots=True)
class _Product:
    """wide^T narrow, written to where it is wanted."""

    answer_CR: Tensor
    wide_TC: Tensor
    narrow_TR: Tensor

    @property
    def tiles(self) -> int:
        return -(-len(self.answer_CR) // _COLUMNS)

    def numbers(self) -> tuple[int, ...]:
        """What a program must know of it."""
        apart = self.wide_TC.stride(0) // _EACH, self.narrow_TR.stride(0) // _EACH
        return (len(self.wide_TC), len(self.answer_CR) // _EACH, *apart, *self.answer_CR.stride())


class NarrowGradients:
    """Those of a pass that wait."""

    def __init__(self) -> None:
        self._waiting: list[_Product] = []
        self._bytes_waiting = 0
        self._tables: dict[tuple[int, ...], Tensor] = {}
        """What a kernel is told of its products, on the device: the same in each pass, for while a CUDA graph is
        recorded it cannot be brought there."""

    @staticmethod
    def fits(wide_TC: Tensor, narrow_TR: Tensor) -> bool:
        """Whether this gradient can be computed here."""
        both = wide_TC, narrow_TR
        of_all = (number for one in both for number in (one.shape[1], one.stride(0), one.storage_offset()))
        lie_so = wide_TC.stride(1) == narrow_TR.stride(1) == 1
        return lie_so and narrow_TR.shape[1] <= _HIGHEST_RANK and not any(number % _EACH for number in of_all)

    def later(self, wide_TC: Tensor, narrow_TR: Tensor, *, turned: bool = False) -> Tensor:
        """wide^T narrow (C, R), or with R first if `turned`; its values are there after `compute`.

        Where memory is counted, nothing waits: it would be taken for what a block of layers keeps.
        """
        width, rank = wide_TC.shape[1], narrow_TR.shape[1]
        answer = wide_TC.new_empty((rank, width) if turned else (width, rank))
        if isinstance(answer, FakeTensor):
            return answer
        last, size = self._waiting[-1] if self._waiting else None, wide_TC.numel() * wide_TC.itemsize
        is_there = last is not None and last.wide_TC is wide_TC
        is_full = not is_there and self._bytes_waiting + size > _MOST_BYTES
        if last and (last.narrow_TR.shape[1] != rank or is_full):
            self.compute()
            is_there = False
        self._waiting.append(_Product(answer.t() if turned else answer, wide_TC, narrow_TR))
        self._bytes_waiting += 0 if is_there else size
        if len(self._waiting) == _MOST_TOGETHER:
            self.compute()
        return answer

    def compute(self) -> None:
        """All that wait, beside whatever is asked for behind."""
        products, self._waiting, self._bytes_waiting = self._waiting, [], 0
        if not products:
            return
        with beside(*(tensor for one in products for tensor in (one.wide_TC, one.narrow_TR))):
            table = self._table(products)
            if table is None:
                for one in products:
                    torch.mm(one.wide_TC.t(), one.narrow_TR, out=one.answer_CR)
            else:
                _compute(products, table)

    def forget(self) -> None:
        """Nobody wants what waits any more."""
        self._waiting, self._bytes_waiting = [], 0

    def _table(self, products: list[_Product]) -> Tensor | None:
        """The first tiles of all, then their numbers (7 x `_MOST_TOGETHER`); None: it is not known yet, and cannot be
        brought there now."""
        *firsts, end = accumulate((one.tiles for one in products), initial=0)
        rows = [(first, *one.numbers()) for first, one in zip(firsts, products, strict=True)]
        rows += [(end, *rows[-1][1:])] * (_MOST_TOGETHER - len(products))
        numbers = tuple(chain.from_iterable(zip(*rows, strict=True)))
        if numbers not in self._tables:
            device = products[0].wide_TC.device
            if not self._can_bring(device):
                return None
            self._tables[numbers] = torch.tensor(numbers, dtype=torch.int32, device=device)
        return self._tables[numbers]

    @staticmethod
    def _can_bring(device: torch.device) -> bool:
        return device.type != "cuda" or not torch.cuda.is_current_stream_capturing()


def _compute(products: list[_Product], table: Tensor) -> None:
    rank, tiles = products[0].narrow_TR.shape[1], sum(one.tiles for one in products)
    filled = products + products[-1:] * (_MOST_TOGETHER - len(products))
    launch(
        _narrow_gradients, (tiles,), tuple(one.answer_CR for one in filled), tuple(one.wide_TC for one in filled),
        tuple(one.narrow_TR for one in filled), table, COUNT=_MOST_TOGETHER, RANK=rank,
        PADDED=padded(rank), COLUMNS=_COLUMNS, TOKENS=_TOKENS, EACH=_EACH, num_warps=4,
        num_stages=4 if is_on_hopper(table) else 3,  # others have not the registers for it
    )  # fmt: skip


@triton.jit
def _narrow_gradients(answers, wides, narrows, table, COUNT: tl.constexpr, RANK: tl.constexpr, PADDED: tl.constexpr,
                      COLUMNS: tl.constexpr, TOKENS: tl.constexpr, EACH: tl.constexpr):  # fmt: skip
    tile = tl.program_id(0)
    place = tl.sum((tl.load(table + tl.arange(0, COUNT)) <= tile).to(tl.int32)) - 1
    answer, wide, narrow = answers[0], wides[0], narrows[0]
    for other in tl.static_range(1, COUNT):
        if place == other:
            answer, wide, narrow = answers[other], wides[other], narrows[other]
    table += place
    tokens = tl.load(table + COUNT)
    width = tl.load(table + 2 * COUNT) * EACH
    wide_apart = tl.load(table + 3 * COUNT) * EACH
    narrow_apart = tl.load(table + 4 * COUNT) * EACH
    token, rank = tl.arange(0, TOKENS), tl.arange(0, PADDED)
    column = (tile - tl.load(table)) * COLUMNS + tl.arange(0, COLUMNS)
    wide += token.to(tl.int64)[:, None] * wide_apart + column[None, :]
    narrow += token.to(tl.int64)[:, None] * narrow_apart + rank[None, :]
    found = tl.zeros([COLUMNS, PADDED], tl.float32)
    for first in range(0, tokens, TOKENS):
        is_in = (first + token < tokens)[:, None]
        x = tl.load(wide, mask=is_in & (column < width)[None, :], other=0.0)
        y = tl.load(narrow, mask=is_in & (rank < RANK)[None, :], other=0.0)
        found = tl.dot(tl.trans(x), y, found)
        wide += TOKENS * wide_apart.to(tl.int64)
        narrow += TOKENS * narrow_apart.to(tl.int64)
    place_in_answer = column[:, None] * tl.load(table + 5 * COUNT) + rank[None, :] * tl.load(table + 6 * COUNT)
    is_in = (column < width)[:, None] & (rank < RANK)[None, :]
    tl.store(answer + place_in_answer, found.to(answer.dtype.element_ty), mask=is_in)
