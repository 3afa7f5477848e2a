"""Gradients of narrow weights, such as a LoRA's, many at a time (Triton).

Each is a wide matrix of tokens, turned, times a narrow one. Alone it is a few programs that take long; some together
fill a GPU. So they wait until there are enough, or for `compute`: before that nobody may read them, or add them up, as
autograd would with those of a layer that is used twice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate, chain

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from ..beside import beside
from .launching import blocks_of, is_on_hopper, launch, padded

# Shape suffixes: T tokens of all pictures, C columns of a wide matrix, R rank.

_HIGHEST_RANK = 128
"""With which a program's tiles fit into its registers."""
_MOST_TOGETHER = 16
"""In a kernel, all of one rank."""
_MOST_BYTES = 3 * 2**27
"""Of wide matrices that wait, and would else be let go. While a graph is recorded those before them are there too."""
_EACH = 8
"""Values. Ranks, widths and distances of rows are multiples of it, so that 16 bytes are read at a time."""
_TOKENS = 64
"""Of a tile of a wide matrix; a program takes one after the other of the same columns."""
_PROGRAMS = 1024
"""Where tokens are many they are cut into spans, for about as many programs: eight for each multiprocessor of an H100.
With fewer, those that have one more than the others are waited for. Another kernel adds up the spans."""
_LEAST_TOKENS = 1024
"""Of a span, for the sake of what is added up."""


@dataclass(frozen=True, slots=True)
class _Product:
    """wide^T narrow times a factor, written to where it is wanted, or added to what is there."""

    answer_CR: Tensor
    wide_TC: Tensor
    narrow_TR: Tensor
    factor: float
    is_added: bool

    @property
    def rank(self) -> int:
        return self.narrow_TR.shape[1]

    @property
    def tiles(self) -> int:
        return blocks_of(len(self.answer_CR), _columns(self.rank))

    def is_like(self, other: _Product) -> bool:
        """Whether one kernel takes both."""
        return (self.rank, self.is_added) == (other.rank, other.is_added)

    def numbers(self) -> tuple[int, ...]:
        """What a program must know of it."""
        apart = self.wide_TC.stride(0) // _EACH, self.narrow_TR.stride(0) // _EACH
        factor = struct.unpack("i", struct.pack("f", self.factor))
        return (len(self.wide_TC), len(self.answer_CR) // _EACH, *apart, *self.answer_CR.stride(), *factor)


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

    def later(
        self, wide_TC: Tensor, narrow_TR: Tensor, *, turned: bool = False, added_to: tuple[Tensor, float] | None = None
    ) -> Tensor | None:
        """wide^T narrow (C, R), or with R first if `turned`; its values are there after `compute`.

        Where memory is counted, nothing waits: it would be taken for what a block of layers keeps.

        Args:
            added_to: A matrix that it is added to, times a factor, instead; then there is no answer. Nobody else may
                add to it before `compute`.
        """
        width, rank = wide_TC.shape[1], narrow_TR.shape[1]
        answer, factor = added_to or (wide_TC.new_empty((rank, width) if turned else (width, rank)), 1.0)
        if not isinstance(answer, FakeTensor):
            answer_CR = answer.t() if turned else answer
            self._wait(_Product(answer_CR, wide_TC, narrow_TR, factor, is_added=added_to is not None))
        return None if added_to else answer

    def _wait(self, product: _Product) -> None:
        last, size = self._waiting[-1] if self._waiting else None, product.wide_TC.numel() * product.wide_TC.itemsize
        is_there = last is not None and last.wide_TC is product.wide_TC
        is_full = not is_there and self._bytes_waiting + size > _MOST_BYTES
        places = {one.answer_CR.data_ptr() for one in self._waiting if one.is_added}
        is_twice = product.is_added and product.answer_CR.data_ptr() in places
        if last and (is_full or is_twice or not product.is_like(last)):
            self.compute()
            is_there = False
        self._waiting.append(product)
        self._bytes_waiting += 0 if is_there else size
        if len(self._waiting) == _MOST_TOGETHER:
            self.compute()

    def compute(self) -> None:
        """All that wait, beside whatever is asked for behind."""
        products, self._waiting, self._bytes_waiting = self._waiting, [], 0
        if not products:
            return
        with beside(*(tensor for one in products for tensor in (one.wide_TC, one.narrow_TR))):
            table = self._table(products)
            if table is None:
                for one in products:
                    _compute_plainly(one)
            else:
                _compute(products, table)

    def forget(self) -> None:
        """Nobody wants what waits any more."""
        self._waiting, self._bytes_waiting = [], 0

    def _table(self, products: list[_Product]) -> Tensor | None:
        """The first tiles of all, then their numbers (8 x `_MOST_TOGETHER`); None: it is not known yet, and cannot be
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


def _columns(rank: int) -> int:
    """Of a tile: each brings the narrow matrix from the cache once more."""
    return 128 if padded(rank) <= 64 else 64


def _spans(products: list[_Product], tiles: int) -> int:
    tokens = max(len(one.wide_TC) for one in products)
    return max(1, min(_PROGRAMS // tiles, tokens // _LEAST_TOKENS))


def _compute_plainly(product: _Product) -> None:
    if product.is_added:
        product.answer_CR.add_(product.wide_TC.t() @ product.narrow_TR, alpha=product.factor)
    else:
        torch.mm(product.wide_TC.t(), product.narrow_TR, out=product.answer_CR)


def _compute(products: list[_Product], table: Tensor) -> None:
    rank, tiles = products[0].rank, sum(one.tiles for one in products)
    spans, columns = _spans(products, tiles), _columns(rank)
    filled = products + products[-1:] * (_MOST_TOGETHER - len(products))
    answers = tuple(one.answer_CR for one in filled)
    sizes = {"COUNT": _MOST_TOGETHER, "RANK": rank, "PADDED": padded(rank), "COLUMNS": columns, "EACH": _EACH,
             "IS_ADDED": products[0].is_added}  # fmt: skip
    parts = table.new_empty(spans * tiles * columns * padded(rank) if spans > 1 else 0, dtype=torch.float32)
    launch(
        _narrow_gradients, (tiles, spans), answers, parts, tuple(one.wide_TC for one in filled),
        tuple(one.narrow_TR for one in filled), table, IS_WHOLE=spans == 1, TOKENS=_TOKENS, **sizes, num_warps=4,
        num_stages=4 if is_on_hopper(table) else 3,  # others have not the registers for it
    )  # fmt: skip
    if spans > 1:
        launch(_add_up_spans, (tiles,), answers, parts, table, spans, **sizes, num_warps=4)


@triton.jit
def _narrow_gradients(answers, parts, wides, narrows, table, COUNT: tl.constexpr, RANK: tl.constexpr,
                      PADDED: tl.constexpr, COLUMNS: tl.constexpr, EACH: tl.constexpr, IS_ADDED: tl.constexpr,
                      IS_WHOLE: tl.constexpr, TOKENS: tl.constexpr):  # fmt: skip
    """Of a tile and a span of tokens: `parts` (spans, tiles, COLUMNS, PADDED), or what is wanted if IS_WHOLE."""
    tile, span = tl.program_id(0), tl.program_id(1)
    place = _place(tile, table, COUNT)
    wide, narrow = wides[0], narrows[0]
    for other in tl.static_range(1, COUNT):
        if place == other:
            wide, narrow = wides[other], narrows[other]
    width, tokens = tl.load(table + 2 * COUNT + place) * EACH, tl.load(table + COUNT + place)
    wide_apart = tl.load(table + 3 * COUNT + place).to(tl.int64) * EACH
    narrow_apart = tl.load(table + 4 * COUNT + place).to(tl.int64) * EACH
    each = tl.cdiv(tl.cdiv(tokens, tl.num_programs(1)), TOKENS) * TOKENS
    start, end = span * each, tl.minimum(span * each + each, tokens)
    token, rank = tl.arange(0, TOKENS), tl.arange(0, PADDED)
    column = (tile - tl.load(table + place)) * COLUMNS + tl.arange(0, COLUMNS)
    wide += (start + token)[:, None] * wide_apart + column[None, :]
    narrow += (start + token)[:, None] * narrow_apart + rank[None, :]
    found = tl.zeros([COLUMNS, PADDED], tl.float32)
    for first in range(start, end, TOKENS):
        is_in = (first + token < end)[:, None]
        x = tl.load(wide, mask=is_in & (column < width)[None, :], other=0.0)
        y = tl.load(narrow, mask=is_in & (rank < RANK)[None, :], other=0.0)
        found = tl.dot(tl.trans(x), y, found)
        wide += TOKENS * wide_apart
        narrow += TOKENS * narrow_apart
    if IS_WHOLE:
        _store(answers, place, found, column, rank, table, COUNT, RANK, EACH, IS_ADDED)
    else:
        tl.store(_part(parts, span, tile, tl.num_programs(0), COLUMNS, PADDED), found)


@triton.jit
def _add_up_spans(answers, parts, table, spans, COUNT: tl.constexpr, RANK: tl.constexpr, PADDED: tl.constexpr,
                  COLUMNS: tl.constexpr, EACH: tl.constexpr, IS_ADDED: tl.constexpr):  # fmt: skip
    tile = tl.program_id(0)
    place = _place(tile, table, COUNT)
    column = (tile - tl.load(table + place)) * COLUMNS + tl.arange(0, COLUMNS)
    found = tl.zeros([COLUMNS, PADDED], tl.float32)
    for span in range(0, spans):
        found += tl.load(_part(parts, span, tile, tl.num_programs(0), COLUMNS, PADDED))
    _store(answers, place, found, column, tl.arange(0, PADDED), table, COUNT, RANK, EACH, IS_ADDED)


@triton.jit
def _place(tile, table, COUNT: tl.constexpr):
    """Of the product that a tile is of."""
    return tl.sum((tl.load(table + tl.arange(0, COUNT)) <= tile).to(tl.int32)) - 1


@triton.jit
def _part(parts, span, tile, tiles, COLUMNS: tl.constexpr, PADDED: tl.constexpr):
    """Where a span's sums for a tile are."""
    values = tl.arange(0, COLUMNS)[:, None] * PADDED + tl.arange(0, PADDED)[None, :]
    return parts + (span * tiles + tile).to(tl.int64) * (COLUMNS * PADDED) + values


@triton.jit
def _store(answers, place, found, column, rank, table, COUNT: tl.constexpr, RANK: tl.constexpr, EACH: tl.constexpr,
           IS_ADDED: tl.constexpr):  # fmt: skip
    answer = answers[0]
    for other in tl.static_range(1, COUNT):
        if place == other:
            answer = answers[other]
    table += place
    answer += column[:, None] * tl.load(table + 5 * COUNT) + rank[None, :] * tl.load(table + 6 * COUNT)
    is_in = (column < tl.load(table + 2 * COUNT) * EACH)[:, None] & (rank < RANK)[None, :]
    if IS_ADDED:
        found = tl.load(answer, mask=is_in) + found * tl.load(table + 7 * COUNT).to(tl.float32, bitcast=True)
    tl.store(answer, found.to(answer.dtype.element_ty), mask=is_in)
