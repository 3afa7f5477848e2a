"""Matrices multiplied on a CPU in fp32 by the faster of two libraries; all others are left to PyTorch, but by
`multiply`.

PyTorch multiplies fp32 matrices with MKL, which on AMD does not use AVX-512: it is half as fast as can be on a Zen 5,
nine tenths on a Zen 4. oneDNN is in the same wheels and multiplies matrices as they lie. Where there is no AVX-512, MKL
is the faster one for many places.
"""

from __future__ import annotations

import platform
import re

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

# Shape suffixes: C and O channels in and out, P places (all of a batch).

_MULTIPLY = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
"""oneDNN's."""
MKL_IS_WHOLE = torch.backends.mkl.is_available() and "AVX512" not in torch.backends.cpu.get_cpu_capability()
"""Without AVX-512 MKL has the whole width of every processor."""
_FIRST_OF_WHOLE_WIDTH = 26
"""The family of AMD's processors from Zen 5 on; before it AVX-512 was computed by halves."""
_PLACES_FOR_MKL, _MANY_CHANNELS = 256, 16
"""From so many places on MKL is faster there, unless the answer has so many times more channels."""
_FEW_PLACES, _MANY_WEIGHTS = 64, 2**20
"""Of so few places and so many weights, multiplying the other way round is faster: it is the second matrix that
oneDNN reorders for itself."""
_LARGEST = 30 * 2**20
"""Bytes. malloc gives larger tensors back to the system each time, so that their pages are zeroed anew at every use,
which takes longer than their arithmetic: 12 ms for 42 MB."""


def _processor() -> str:
    """As the system tells of it: Linux in a file, Windows as "AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD"."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return file.read(1024)  # of the first core: with hundreds the whole file takes a while to be made
    except OSError:
        return platform.processor()


def _has_twice_mkls_width(processor: str) -> bool:
    family = re.search(r"family\s*:?\s*(\d+)", processor, re.IGNORECASE)
    is_whole = family is not None and int(family[1]) >= _FIRST_OF_WHOLE_WIDTH
    return is_whole and "AuthenticAMD" in processor and not MKL_IS_WHOLE


ONEDNN_IS_FAR_AHEAD = _has_twice_mkls_width(_processor())
"""Whether oneDNN is about twice as fast as MKL, which makes up for calls that PyTorch's own kernels save. By what is
known of the processor, not measured: a run that goes on is to compute as it began."""


def linear(x: Tensor, weight_OC: Tensor, bias_O: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """`functional.linear`, as fast as that can be; `added`, of the answer's shape, is added to it."""
    if can_multiply(x, weight_OC, bias_O, added):
        return _Linear.apply(x, weight_OC, bias_O, added)
    y = functional.linear(x, weight_OC, bias_O)
    return y if added is None else added + y


def can_multiply(*tensors: Tensor | None) -> bool:
    """Whether these are multiplied here (None: none is needed): fp32 on a CPU, outside autocast."""
    if _MULTIPLY is None:
        return False
    given = [tensor for tensor in tensors if tensor is not None]
    if given and not given[0].is_cpu:
        return False  # at once: a GPU waits for whoever asks
    is_fp32_on_cpu = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in given)
    is_counted = any(isinstance(tensor, FakeTensor) for tensor in given)  # how much memory is needed, without data
    return is_fp32_on_cpu and not is_counted and not torch.is_autocast_enabled("cpu")


def multiply(x: Tensor, weight_OC: Tensor, bias_O: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """x W^T + b + added, without a gradient, of what `can_multiply`. The weight may be a transposed matrix."""
    if _is_for_mkl(x, weight_OC):
        return _multiply_by_mkl(x, weight_OC, bias_O, added)
    if not (weight_OC.is_contiguous() or weight_OC.t().is_contiguous()):
        weight_OC = weight_OC.contiguous()  # a part of a larger matrix would be multiplied a thousand times slower
    if added is not None:
        return _MULTIPLY.binary(x, added, weight_OC, bias_O, "add")
    if _is_wide(x, weight_OC):
        y_PO = _MULTIPLY(weight_OC, x.flatten(0, -2), None, "none", [], "").t().contiguous()
        if bias_O is not None:
            y_PO += bias_O
        return y_PO.view(*x.shape[:-1], len(weight_OC))
    return _MULTIPLY(x, weight_OC, bias_O, "none", [], "")


def _is_for_mkl(x: Tensor, weight_OC: Tensor) -> bool:
    """Whether places are many; with a weight as it lies also in proportion to the answer's channels."""
    if not MKL_IS_WHOLE:
        return False
    places = x.shape[:-1].numel()
    makes_many = weight_OC.is_contiguous() and len(weight_OC) > _MANY_CHANNELS * places
    return places >= _PLACES_FOR_MKL and not makes_many


def _multiply_by_mkl(x: Tensor, weight_OC: Tensor, bias_O: Tensor | None, added: Tensor | None) -> Tensor:
    if added is None:
        return functional.linear(x, weight_OC, bias_O)
    y_PO = torch.addmm(added.flatten(0, -2), x.flatten(0, -2), weight_OC.t())
    if bias_O is not None:
        y_PO += bias_O
    return y_PO.view(*x.shape[:-1], len(weight_OC))


def _is_wide(x: Tensor, weight_OC: Tensor) -> bool:
    """Whether few places meet a large weight, both as they lie."""
    is_few = x.shape[:-1].numel() <= _FEW_PLACES and weight_OC.numel() >= _MANY_WEIGHTS
    return is_few and x.is_contiguous() and weight_OC.is_contiguous()


def add_product(sum_PO: Tensor, x_PC: Tensor, weight_OC: Tensor) -> Tensor:
    """sum + x W^T on any device, without a gradient. `sum` may be taken for it, and is worth nothing afterwards; of
    more than two dimensions it is contiguous."""
    if can_multiply(sum_PO, x_PC, weight_OC) and not _is_for_mkl(x_PC, weight_OC):
        return multiply(x_PC, weight_OC, added=sum_PO)
    sum_PO.view(-1, len(weight_OC)).addmm_(x_PC.flatten(0, -2), weight_OC.t())
    return sum_PO


def product(x_PC: Tensor, weight_OC: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """x W^T + b on any device, without a gradient."""
    if can_multiply(x_PC, weight_OC, bias_O):
        return multiply(x_PC, weight_OC, bias_O)
    return functional.linear(x_PC, weight_OC, bias_O)


def product_into(answer_PO: Tensor, x_PC: Tensor, weight_OC: Tensor) -> None:
    """x W^T on any device, without a gradient, written into `answer_PO`, which may be a part of a larger matrix."""
    if can_multiply(answer_PO, x_PC, weight_OC):
        answer_PO.copy_(multiply(x_PC, weight_OC))
    else:
        torch.mm(x_PC, weight_OC.t(), out=answer_PO)


def gradient_of_weight(grad_PO: Tensor, x_PC: Tensor) -> Tensor:
    """grad^T x on any device, without a gradient. oneDNN copies the first factor into the order of the answer, so the
    smaller one comes first; MKL is faster with the larger one first."""
    if not can_multiply(grad_PO, x_PC):
        return grad_PO.t() @ x_PC
    is_larger = grad_PO.shape[1] > x_PC.shape[1]
    if MKL_IS_WHOLE:
        return grad_PO.t() @ x_PC if is_larger else (x_PC.t() @ grad_PO).t()
    return multiply(x_PC.t(), grad_PO.t()).t() if is_larger else multiply(grad_PO.t(), x_PC.t())


def part_count(size: int) -> int:
    """In how many parts to compute so many bytes."""
    return max(1, -(-size // _LARGEST))


class _Linear(torch.autograd.Function):
    """x W^T + b + added. Of a frozen weight, nothing of the input is kept."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight_OC: Tensor, bias_O: Tensor | None, added: Tensor | None) -> Tensor:
        ctx.save_for_backward(x if weight_OC.requires_grad else None, weight_OC)
        return multiply(x, weight_OC, bias_O, added)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_OC = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, needs_added = ctx.needs_input_grad
        grad_PO = grad.flatten(0, -2)
        return (
            multiply(grad, weight_OC.t()) if needs_x else None,
            gradient_of_weight(grad_PO, x.flatten(0, -2)) if needs_weight else None,
            grad_PO.sum(0) if needs_bias else None,
            grad if needs_added else None,
        )
