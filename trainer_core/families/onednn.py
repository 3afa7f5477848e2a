"""Linear layers and convolutions on a CPU, in fp32: what PyTorch gives them to is often not its fastest kernel.

PyTorch multiplies fp32 matrices with MKL, which on AMD uses half of the width of AVX-512, and convolutions of few
places spend more time on turning their weights into another order than on arithmetic. oneDNN is in the same wheels and
multiplies matrices as they lie. What is computed is the same but for the order of additions; docs/speed.md has the
figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

# Shape suffixes: B batch, C and O channels in and out, H and W height and width, P places (all of a batch),
# K one place's inputs under a kernel (kernel height x kernel width x C). `x_` and `y_`: inputs and answers.

_MULTIPLY = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def linear(x: Tensor, weight_OC: Tensor, bias_O: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """`functional.linear`, by oneDNN where that can be; `added`, of the answer's shape, is added to it."""
    if can_multiply(x, weight_OC, bias_O, added):
        return _Linear.apply(x, weight_OC, bias_O, added)
    y = functional.linear(x, weight_OC, bias_O)
    return y if added is None else added + y


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
    if weight.requires_grad or not _is_plain(layer) or not can_multiply(x_BCHW, weight, bias_O):
        return functional.conv2d(x_BCHW, weight, bias_O, layer.stride, layer.padding, layer.dilation)
    return _Convolution.apply(x_BCHW, weight, bias_O, layer.stride[0], layer.padding[0])


class FrozenLinear(nn.Linear):
    """A linear layer of a frozen model."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class FrozenConv2d(nn.Conv2d):
    """A square convolution of a frozen model, without dilation or groups."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if is_pointwise(self):
            return pointwise(x_BCHW, self.weight, self.bias)
        return convolution(x_BCHW, self.weight, self.bias, self)


def use_onednn(model: nn.Module) -> None:
    """Let the linear layers and convolutions of a frozen model compute as here; it keeps its weights and names.

    Only in fp32 on a CPU; elsewhere the layers compute as before. Layers of other kinds, such as quantised ones, stay
    as they are.
    """
    if _MULTIPLY is None:
        return
    model.to(memory_format=torch.channels_last)
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = FrozenLinear
        elif type(module) is nn.Conv2d and _is_plain(module):
            module.__class__ = FrozenConv2d


def is_pointwise(layer: nn.Conv2d) -> bool:
    """Whether each place of the answer is of one place of the input."""
    return _is_plain(layer) and layer.kernel_size == layer.stride == (1, 1) and layer.padding == (0, 0)


def _is_plain(layer: nn.Conv2d) -> bool:
    is_square = all(len(set(pair)) == 1 for pair in (layer.stride, layer.padding))
    return is_square and set(layer.dilation) == {1} and layer.groups == 1 and layer.padding_mode == "zeros"


def can_multiply(*tensors: Tensor | None) -> bool:
    """Whether oneDNN takes these (None: none is needed): fp32 on a CPU, outside autocast."""
    given = [tensor for tensor in tensors if tensor is not None]
    is_fp32_on_cpu = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in given)
    is_counted = any(isinstance(tensor, FakeTensor) for tensor in given)  # how much memory is needed, without data
    return _MULTIPLY is not None and is_fp32_on_cpu and not is_counted and not torch.is_autocast_enabled("cpu")


def multiply(x: Tensor, weight_OC: Tensor, bias_O: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """x W^T + b + added, without a gradient. The weight may be a transposed matrix."""
    if not (weight_OC.is_contiguous() or weight_OC.t().is_contiguous()):
        weight_OC = weight_OC.contiguous()  # a part of a larger matrix would be multiplied a thousand times slower
    if added is None:
        return _MULTIPLY(x, weight_OC, bias_O, "none", [], "")
    return _MULTIPLY.binary(x, added, weight_OC, bias_O, "add")


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
            _gradient_of_weight(grad_PO, x.flatten(0, -2)) if needs_weight else None,
            grad_PO.sum(0) if needs_bias else None,
            grad if needs_added else None,
        )


def _gradient_of_weight(grad_PO: Tensor, x_PC: Tensor) -> Tensor:
    """The first factor is copied into the order of the answer, so the smaller one comes first."""
    if grad_PO.shape[1] > x_PC.shape[1]:
        return multiply(x_PC.t(), grad_PO.t()).t()
    return multiply(grad_PO.t(), x_PC.t())


class _Convolution(torch.autograd.Function):
    """A convolution with a frozen weight: nothing of the input is kept, and no weight's gradient is computed.

    oneDNN's own convolutions are at the machine's limit where places are many. Where they are fewer than the output
    channels, the weight is the larger part, and multiplying by it as it lies is faster: columns of the input times the
    weight, and back.
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
        columns_BHWK = _columns(x_BCHW, weight.shape[-1], stride, padding)
        return multiply(columns_BHWK, _weight_of_columns(weight), bias_O).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_BOHW: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        if not ctx.in_columns:
            return _gradient_of_input(grad_BOHW, weight, ctx.shape, ctx.stride, ctx.padding), None, None, None, None
        columns_BHWK = multiply(grad_BOHW.permute(0, 2, 3, 1), _weight_of_columns(weight).t())
        return _sum_of_columns(columns_BHWK, ctx.shape, ctx.stride, ctx.padding), None, None, None, None


def _weight_of_columns(weight: Tensor) -> Tensor:
    """(O, K): a view where the weight is channels last."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _columns(x_BCHW: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """What each place of the answer sees of the input (B, H, W, K), with the answer's height and width."""
    x_BHWC = functional.pad(x_BCHW.permute(0, 2, 3, 1), (0, 0, padding, padding, padding, padding))
    windows_BHWCkk = x_BHWC.unfold(1, kernel, stride).unfold(2, kernel, stride)
    return windows_BHWCkk.permute(0, 1, 2, 4, 5, 3).flatten(3)


def _sum_of_columns(columns_BHWK: Tensor, shape: Sequence[int], stride: int, padding: int) -> Tensor:
    """The reverse of `_columns` for gradients: every place of the input (of `shape`, B C H W) gets the sum of what the
    columns have for it."""
    batch, channels, height, width = shape
    rows, places = columns_BHWK.shape[1:3]
    kernel = round((columns_BHWK.shape[3] // channels) ** 0.5)
    columns = columns_BHWK.view(batch, rows, places, kernel, kernel, channels)
    padded_BHWC = columns.new_zeros(batch, height + 2 * padding, width + 2 * padding, channels)
    for i in range(kernel):
        for j in range(kernel):
            padded_BHWC[:, i : i + rows * stride : stride, j : j + places * stride : stride] += columns[:, :, :, i, j]
    inner_BHWC = padded_BHWC[:, padding : padding + height, padding : padding + width]
    return inner_BHWC.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _gradient_of_input(grad_BOHW: Tensor, weight: Tensor, shape: Sequence[int], stride: int, padding: int) -> Tensor:
    never_read = torch.empty(shape, dtype=grad_BOHW.dtype, memory_format=torch.channels_last)
    steps, edges, none = [stride] * 2, [padding] * 2, [0, 0]
    gradients = torch.ops.aten.convolution_backward(
        grad_BOHW, never_read, weight, None, steps, edges, [1, 1], False, none, 1, [True, False, False]
    )
    return gradients[0]
