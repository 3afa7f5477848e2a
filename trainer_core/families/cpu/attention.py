"""Self-attention on a CPU in fp32, some queries at a time, with oneDNN's multiplications instead of MKL's.

As in FlashAttention (Dao et al., arXiv:2205.14135) no scores are kept: the backward pass computes them again. Unlike
there, each part of the queries sees all keys at once, so a softmax is a single operation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from . import matrices

# Shape suffixes: B batch, N heads, Q queries, K keys, D values of a head, P queries of a part.

_SCORES = 2**21
"""At a time, one for each query and key: 8 MB. Smaller parts are more calls than the caches make up for."""
_FEWEST = 384
"""Queries and keys from which on this is faster; of fewer, the calls cost more than the arithmetic."""


def attend(query_BNQD: Tensor, key_BNKD: Tensor, value_BNKD: Tensor, mask: Tensor | None = None) -> Tensor:
    """`functional.scaled_dot_product_attention`, the same but for the order of additions. PyTorch's own, by its flash
    kernel, is faster unless the library with which that multiplies is slow."""
    is_faster = matrices.ONEDNN_IS_FAR_AHEAD and min(query_BNQD.shape[2], key_BNKD.shape[2]) >= _FEWEST
    if mask is None and is_faster and matrices.can_multiply(query_BNQD, key_BNKD, value_BNKD):
        return _Attention.apply(query_BNQD, key_BNKD, value_BNKD)
    return functional.scaled_dot_product_attention(query_BNQD, key_BNKD, value_BNKD, mask)


class _Attention(torch.autograd.Function):
    """softmax(Q K^T / sqrt(D)) V, head by head and part by part."""

    @staticmethod
    def forward(ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        answer = _empty_as(query)
        for place in _heads(query):
            query_QD, key_KD, value_KD = (tensor[place].contiguous() for tensor in (query, key, value))
            query_QD = query_QD * query.shape[-1] ** -0.5
            part = _part(key_KD)
            for query_PD, answer_PD in zip(query_QD.split(part), answer[place].split(part), strict=True):
                weights_PK = torch.softmax(matrices.multiply(query_PD, key_KD), -1)
                answer_PD.copy_(matrices.multiply(weights_PK, value_KD.t()))
        return answer

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, ...]:
        tensors = ctx.saved_tensors
        gradients = tuple(map(_empty_as, tensors))
        for place in _heads(grad):
            head = [tensor[place].contiguous() for tensor in (*tensors, grad)]
            for gradient, found in zip(gradients, _gradients_of_head(*head), strict=True):
                gradient[place] = found
        return gradients


def _gradients_of_head(query_QD: Tensor, key_KD: Tensor, value_KD: Tensor, grad_QD: Tensor) -> tuple[Tensor, ...]:
    """Gradients of queries, keys and values. Those of keys and values are summed the other way round, (D, K): then no
    matrix of scores has to be turned."""
    scale = query_QD.shape[-1] ** -0.5
    query_QD = query_QD * scale
    grad_query, grad_key_DK, grad_value_DK = torch.empty_like(query_QD), None, None
    part = _part(key_KD)
    parts = zip(*(tensor.split(part) for tensor in (query_QD, grad_QD, grad_query)), strict=True)
    for query_PD, grad_PD, grad_query_PD in parts:
        weights_PK = torch.softmax(matrices.multiply(query_PD, key_KD), -1)
        grad_value_DK = matrices.multiply(grad_PD.t(), weights_PK.t(), added=grad_value_DK)
        grad_weights_PK = matrices.multiply(grad_PD, value_KD)
        grad_scores_PK = torch._softmax_backward_data(grad_weights_PK, weights_PK, -1, weights_PK.dtype)
        torch.mul(matrices.multiply(grad_scores_PK, key_KD.t()), scale, out=grad_query_PD)
        grad_key_DK = matrices.multiply(query_PD.t(), grad_scores_PK.t(), added=grad_key_DK)
    return grad_query, grad_key_DK.t(), grad_value_DK.t()


def _part(key_KD: Tensor) -> int:
    """How many queries at a time."""
    return max(1, _SCORES // len(key_KD))


def _heads(tensor_BNQD: Tensor) -> list[tuple[int, int]]:
    batch, heads = tensor_BNQD.shape[:2]
    return [(picture, head) for picture in range(batch) for head in range(heads)]


def _empty_as(tensor_BNQD: Tensor) -> Tensor:
    """In the order of memory that joining the heads takes without a copy."""
    batch, heads, tokens, values = tensor_BNQD.shape
    return tensor_BNQD.new_empty(batch, tokens, heads, values).transpose(1, 2)
