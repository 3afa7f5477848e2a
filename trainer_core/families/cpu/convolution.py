"""Convolutions with a frozen weight: what PyTorch gives them to is often not its fastest kernel.

oneDNN's convolutions bring their weights into another order at every call, which of few places takes longer than the
arithmetic. There the columns of the input are multiplied by the weight as it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from ..input_gradient import gradient_of_input
from .matrices import can_multiply, linear, multiply, part_count

# Shape suffixes: B batch, C and O channels in and out, H and W height and width, K one place's inputs under a kernel
# (kernel height x kernel width x C).


def pointwise(x_BCHW: Tensor, weight: Tensor, bias_O: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """A 1x1 convolution, which of channels last is a linear layer; the weight is (O, C, 1, 1)."""
    is_channels_last = x_BCHW.is_contiguous(memory_format=torch.channels_last)
    if not is_channels_last or not can_multiply(x_BCHW, weight, bias_O, added):
        y_BOHW = functional.conv2d(x_BCHW, weight, bias_O)
        return y_BOHW if added is None else added + y_BOHW
    added_BHWO = None if added is None else added.permute(0, 2, 3, 1)
    return linear(x_BCHW.permute(0, 2, 3, 1), weight.flatten(1), bias_O, added_BHWO).permute(0, 3, 1, 2)


def convolution(x_BCHW: Tensor, weight: Tensor, bias_O: Tensor | None, layer: nn.Conv2d) -> Tensor:
    """`functional.conv2d` as `layer` does it but with another weight and bias, by oneDNN where that can be."""
    if weight.requires_grad or not is_plain(layer) or not can_multiply(x_BCHW, weight, bias_O):
        return functional.conv2d(x_BCHW, weight, bias_O, layer.stride, layer.padding, layer.dilation)
    return _Convolution.apply(x_BCHW, weight, bias_O, layer.stride[0], layer.padding[0])


def is_pointwise(layer: nn.Conv2d) -> bool:
    """Whether each place of the answer is of one place of the input."""
    return is_plain(layer) and layer.kernel_size == layer.stride == (1, 1) and layer.padding == (0, 0)


def is_plain(layer: nn.Conv2d) -> bool:
    is_square = all(len(set(pair)) == 1 for pair in (layer.stride, layer.padding))
    return is_square and set(layer.dilation) == {1} and layer.groups == 1 and layer.padding_mode == "zeros"


class _Convolution(torch.autograd.Function):
    """A convolution with a frozen weight: nothing of the input is kept, and no weight's gradient is computed.

    oneDNN's own convolutions are at the machine's limit where places are many (large ones of 3x3 are faster yet as
    winograd.py has them). Where places are fewer than the output channels, the weight is the larger part, and
    multiplying by it as it lies is faster: columns of the input times the weight, and back.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, x_BCHW: Tensor, weight: Tensor, bias_O: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride, ctx.padding = x_BCHW.shape, stride, padding
        height, width = ((side + 2 * padding - weight.shape[-1]) // stride + 1 for side in x_BCHW.shape[2:])
        ctx.in_columns = len(x_BCHW) * height * width < len(weight)
        if not ctx.in_columns:
            return functional.conv2d(x_BCHW, weight, bias_O, stride, padding)
        windows = _windows(x_BCHW, weight.shape[-1], stride, padding)
        ctx.parts = part_count(windows.numel() * windows.element_size())
        weight_OK = _weight_of_columns(weight)
        rows = [multiply(part.flatten(3), weight_OK, bias_O) for part in windows.tensor_split(ctx.parts, 1)]
        return (rows[0] if len(rows) == 1 else torch.cat(rows, 1)).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_BOHW: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        if not ctx.in_columns:
            edges = [ctx.stride] * 2, [ctx.padding] * 2
            return gradient_of_input(grad_BOHW, weight, ctx.shape, *edges), None, None, None, None
        weight_KO = _weight_of_columns(weight).t()
        parts = (multiply(part, weight_KO) for part in grad_BOHW.permute(0, 2, 3, 1).tensor_split(ctx.parts, 1))
        return _sum_of_columns(parts, ctx.shape, weight.shape[-1], ctx.stride, ctx.padding), None, None, None, None


def _weight_of_columns(weight: Tensor) -> Tensor:
    """(O, K): a view where the weight is channels last."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _windows(x_BCHW: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """What each place of the answer sees of the input: (B, H, W, kernel, kernel, C), of the answer's size; a view."""
    x_BHWC = functional.pad(x_BCHW.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    return x_BHWC.unfold(1, kernel, stride).unfold(2, kernel, stride).permute(0, 1, 2, 4, 5, 3)


def _sum_of_columns(parts: Iterable[Tensor], shape: Sequence[int], kernel: int, stride: int, padding: int) -> Tensor:
    """The reverse of `_windows` for gradients: every place of the input (of `shape`, B C H W) gets the sum of what the
    columns have for it. These come as (B, some rows, W, K), all rows in order."""
    batch, channels, height, width = shape
    padded_BHWC = torch.zeros(batch, height + 2 * padding, width + 2 * padding, channels)
    top = 0
    for columns_BHWK in parts:
        rows, places = columns_BHWK.shape[1:3]
        columns = columns_BHWK.view(batch, rows, places, kernel, kernel, channels)
        for i in range(kernel):
            for j in range(kernel):
                seen = padded_BHWC[:, top + i : top + i + rows * stride : stride, j : j + places * stride : stride]
                seen += columns[:, :, :, i, j]
        top += rows * stride
    inner_BHWC = padded_BHWC[:, padding : padding + height, padding : padding + width]
    return inner_BHWC.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
