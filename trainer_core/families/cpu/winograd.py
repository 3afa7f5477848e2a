"""3x3 convolutions of a frozen model with 2.25 times fewer multiplications.

Winograd's minimal filtering (Lavin and Gray, arXiv:1509.09308), F(2x2, 3x3): of every 2x2 places of the answer, the 4x4
of the input under them and the kernel are brought where the convolution is a product of 16 values each. Over all
channels these are 16 multiplications of matrices (matrices.py). With V = B^T x B and U = G w G^T:

        1  0 -1  0           1   0   0
        0  1  1  0          1/2 1/2 1/2              1  1  1  0
  B^T = 0 -1  1  0      G = 1/2 -1/2 1/2       A^T = 0  1 -1  1       answer = A^T (U * V) A
        0 -1  0  1           0   0   1

The weight is kept as U alone, which is 16/9 of it and serves both ways: for the inputs' gradient the kernel is turned
by half a circle, and so is U, with its first and last row and column exchanged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

from .matrices import add_product, can_multiply, multiply

# Shape suffixes: B batch, C and O channels in and out, H and W height and width, S and T rows and columns of tiles,
# 4 and 2 a tile's rows or columns (of the input, of the answer), 16 both of the former, 3 a kernel's side.

GROWTH = 7 / 9
"""By how much of itself a weight grows."""
_LEAST_CHANNELS = 384
"""In and out together. With fewer, what is brought there and back takes as long as what is saved."""
_LARGEST = 2**22
"""Values of a part's tiles (16 MB), which the next step finds in the caches."""
_G = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
_INVERSE_OF_G = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, -1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def can_transform(layer: nn.Conv2d) -> bool:
    """Whether the layer, a plain one (`is_plain`), is faster so where places are many."""
    has_kernel_of_3 = layer.kernel_size == (3, 3) and layer.stride == (1, 1) and layer.padding == (1, 1)
    return has_kernel_of_3 and layer.in_channels + layer.out_channels >= _LEAST_CHANNELS


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution of a frozen model, which keeps its weight transformed."""

    transformed_16OC: Tensor

    @staticmethod
    def transform(layer: nn.Conv2d) -> None:
        """Make a layer one of these, for good."""
        G_43 = torch.tensor(_G)
        found_44OC = torch.einsum("ih,ochw,jw->ijoc", G_43, layer.weight, G_43)
        del layer.weight
        # not of four dimensions, or whoever asks a model for channels last would turn it
        layer.register_buffer("transformed_16OC", found_44OC.flatten(0, 1).contiguous(), persistent=False)
        layer.__class__ = WinogradConv2d

    @property
    def weight(self) -> Tensor:
        """The kernel, but for rounding; computed at every call."""
        inverse_34 = self.transformed_16OC.new_tensor(_INVERSE_OF_G)
        return torch.einsum("hi,ijoc,wj->ochw", inverse_34, self.transformed_16OC.unflatten(0, (4, 4)), inverse_34)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if not can_multiply(x_BCHW, self.transformed_16OC, self.bias):
            return functional.conv2d(x_BCHW, self.weight, self.bias, padding=1)
        return _Winograd.apply(x_BCHW, self.transformed_16OC, self.bias)


class _Winograd(torch.autograd.Function):
    """Keeps nothing of its input."""

    @staticmethod
    def forward(ctx: FunctionCtx, x_BCHW: Tensor, transformed_16OC: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(transformed_16OC)
        return _convolved(x_BCHW, [list(row) for row in transformed_16OC.unflatten(0, (4, 4))], bias_O)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_BOHW: Tensor) -> tuple[Tensor | None, ...]:
        transformed_44OC = ctx.saved_tensors[0].unflatten(0, (4, 4))
        order = (3, 1, 2, 0)
        turned = [[transformed_44OC[i, j].t() for j in order] for i in order]
        return _convolved(grad_BOHW, turned, None), None, None


def _convolved(x_BCHW: Tensor, transformed_44OC: list[list[Tensor]], bias_O: Tensor | None) -> Tensor:
    """Some rows of tiles at a time."""
    batch, channels, height, width = x_BCHW.shape
    outputs = len(transformed_44OC[0][0])
    rows, columns = (height + 1) // 2, (width + 1) // 2
    x_BHWC = x_BCHW.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    answer_BHWO = x_BHWC.new_empty(batch, 2 * rows, 2 * columns, outputs)
    answer_BS2T2O = answer_BHWO.view(batch, rows, 2, columns, 2, outputs)
    parts = -(-rows * batch * columns * 16 * max(channels, outputs) // _LARGEST)
    top = 0
    for part in answer_BS2T2O.tensor_split(min(parts, rows), 1):
        bottom = top + 2 * part.shape[1]
        seen_BHWC = x_BHWC[:, max(top - 1, 0) : bottom + 1]
        border = (0, 0, 1, 1 + width % 2, int(top == 0), max(bottom + 1 - height, 0))
        _tiles_back(_multiplied(_tiles(functional.pad(seen_BHWC, border)), transformed_44OC, bias_O), part)
        top = bottom
    return answer_BHWO[:, :height, :width].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _tiles(x_BHWC: Tensor) -> Tensor:
    """B^T x B of overlapping tiles: (4, 4, B, S, T, C), of an input that has a border of one place."""
    batch, height, width, channels = x_BHWC.shape
    rows, columns = height // 2 - 1, width // 2 - 1
    half_4BSWC = x_BHWC.new_empty(4, batch, rows, width, channels)
    tiles_44BSTC = x_BHWC.new_empty(4, 4, batch, rows, columns, channels)
    _combine([x_BHWC[:, i : i + 2 * rows : 2] for i in range(4)], half_4BSWC)
    _combine([half_4BSWC[:, :, :, j : j + 2 * columns : 2] for j in range(4)], tiles_44BSTC.transpose(0, 1))
    return tiles_44BSTC


def _combine(places: list[Tensor], into_4: Tensor) -> None:
    """B^T times four neighbours."""
    torch.sub(places[0], places[2], out=into_4[0])
    torch.add(places[1], places[2], out=into_4[1])
    torch.sub(places[2], places[1], out=into_4[2])
    torch.sub(places[3], places[1], out=into_4[3])


def _multiplied(
    tiles_44BSTC: Tensor, transformed_44OC: list[list[Tensor]], bias_O: Tensor | None
) -> list[list[Tensor]]:
    """(U * V) A for each row of a tile: 4 x 2 of (B, S, T, O). Two of a row's four products are added to the others
    within their multiplication. The bias, added to one of 16, comes into all of the answer."""
    found = []
    for i, (tiles_4BSTC, weights_4OC) in enumerate(zip(tiles_44BSTC, transformed_44OC, strict=True)):
        one = multiply(tiles_4BSTC[1], weights_4OC[1], bias_O if i == 1 else None)
        other = multiply(tiles_4BSTC[2], weights_4OC[2])
        total = one + other
        difference = one.sub_(other)
        left = add_product(total, tiles_4BSTC[0], weights_4OC[0])
        found.append([left, add_product(difference, tiles_4BSTC[3], weights_4OC[3])])
    return found


def _tiles_back(rows: list[list[Tensor]], answer_BS2T2O: Tensor) -> None:
    """A^T times what `_multiplied` gives, into the answer."""
    for j in range(2):
        first, second, third, fourth = (row[j] for row in rows)
        first += second
        torch.add(first, third, out=answer_BS2T2O[:, :, 0, :, j])
        second -= third
        torch.add(second, fourth, out=answer_BS2T2O[:, :, 1, :, j])
