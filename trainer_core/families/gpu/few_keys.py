"""Attention to few keys, as a text's are, by Triton: each way one pass over the queries, nothing kept but the inputs.

All keys and values of a head fit beside a block of its queries. As in FlashAttention (Dao et al., arXiv:2205.14135) no
scores are kept; what that keeps beside, answers and a sum for each query, takes no more than the scores to find again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from ...devices import is_gpu
from .few_keys_kernels import add_up, attend, gradients
from .launching import blocks_of, is_on_hopper, launch, padded

# Shape suffixes: B batch, N heads, Q queries, L keys, D values of a head, S spans.

_MOST_KEYS, _MOST_WIDTH = 80, 64
"""Keys of a head, and values of each, that a program has room for."""
_KEYS = 64
"""Of a head's keys, those that are one tile. Sizes are powers of 2: 77 keys take 64 and 16 rather than 128."""

_PLACES = 512
"""Values that a program adds up."""


@dataclass(frozen=True)
class _Division:
    """How queries are divided: a program takes a span of them, a block at a time."""

    block: int
    programs: int
    """That keep a GPU busy, where there are as many blocks."""
    warps: int
    stages: int

    def span(self, query_BNQD: Tensor) -> int:
        """Queries of a program."""
        batch, heads, queries, _ = query_BNQD.shape
        blocks = blocks_of(queries, self.block)
        return blocks_of(blocks, min(blocks, blocks_of(self.programs, batch * heads))) * self.block

    def sizes(self, key_BNLD: Tensor) -> dict[str, int]:
        """What a kernel is compiled for."""
        keys, width = key_BNLD.shape[2:]
        rest, columns = padded(keys - _KEYS) if keys > _KEYS else 0, padded(width)
        tile = {"WIDTH": width, "ROWS": self.block, "KEYS": min(padded(keys), _KEYS), "REST": rest, "COLUMNS": columns}
        return {**tile, "num_warps": self.warps, "num_stages": self.stages}


_FORWARDS = _Division(block=64, programs=1200, warps=4, stages=3)
_BACKWARDS = _Division(block=32, programs=600, warps=4, stages=2)
_BACKWARDS_ON_HOPPER = _Division(block=64, programs=600, warps=4, stages=2)
"""Others have not the registers for it."""


def can_multiply(device: str, dtype: torch.dtype) -> bool:
    """Whether Triton has tensor cores do it: not those of RTX 20, and none for exact fp32. AMD's lack registers."""
    if not is_gpu(device):  # interpreted, which takes the bits of bf16 for integers
        return dtype != torch.bfloat16
    if dtype == torch.float32 or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def attend_few_keys(query_BNQD: Tensor, key_BNLD: Tensor, value_BNLD: Tensor, mask: Tensor | None = None) -> Tensor:
    """`functional.scaled_dot_product_attention`, by PyTorch itself where keys are many or there is a mask."""
    three = query_BNQD, key_BNLD, value_BNLD
    if mask is None and _fit(*three):
        return _Attention.apply(*three)
    return functional.scaled_dot_product_attention(*three, mask)


def _fit(*three: Tensor) -> bool:
    """Whether keys are few, and heads lie side by side."""
    keys, width = three[1].shape[2:]
    is_alike = len({(one.dtype, one.shape[-1]) for one in three}) == 1
    lie_so = all((one.stride(1), one.stride(3)) == (width, 1) for one in three)
    return is_alike and lie_so and keys <= _MOST_KEYS and width <= _MOST_WIDTH


class _Attention(torch.autograd.Function):
    """softmax(Q K^T / sqrt(D)) V. Answers and gradients lie as heads side by side do: joining them takes no copy."""

    @staticmethod
    def forward(ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        (batch, heads, queries, width), keys, span = query.shape, key.shape[2], _FORWARDS.span(query)
        answer = query.new_empty(batch, queries, heads, width)
        launch(
            attend, (heads, blocks_of(queries, span), batch), answer, query, key, value, width**-0.5, queries, keys,
            span, *_strides(query, key, value), **_FORWARDS.sizes(key),
        )  # fmt: skip
        return answer.transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, ...]:
        query, key, value = ctx.saved_tensors
        division = _BACKWARDS_ON_HOPPER if is_on_hopper(query) else _BACKWARDS
        (batch, heads, queries, width), keys, span = query.shape, key.shape[2], division.span(query)
        spans = blocks_of(queries, span)
        gradient = gradient.transpose(1, 2).contiguous()
        of_query = torch.empty_like(gradient)
        exact = torch.float32 if spans > 1 else key.dtype
        of_both = key.new_empty(2, spans, batch, keys, heads, width, dtype=exact)
        launch(
            gradients, (heads, spans, batch), of_query, *of_both, gradient, query, key, value, width**-0.5, queries,
            keys, span, *_strides(query, key, value), **division.sizes(key),
        )  # fmt: skip
        of_both = _added_up(of_both, key.dtype) if spans > 1 else of_both[:, 0]
        return tuple(one.transpose(1, 2) for one in (of_query, *of_both))


def _added_up(parts_2SBLND: Tensor, dtype: torch.dtype) -> Tensor:
    two, spans, *shape = parts_2SBLND.shape
    answer = parts_2SBLND.new_empty(two, *shape, dtype=dtype)
    count = answer.numel() // two
    launch(add_up, (blocks_of(count, _PLACES), two), answer, parts_2SBLND, spans, count, PLACES=_PLACES)
    return answer


def _strides(*tensors_BNQD: Tensor) -> list[int]:
    """Of pictures and tokens."""
    return [tensor.stride(place) for tensor in tensors_BNQD for place in (0, 2)]
