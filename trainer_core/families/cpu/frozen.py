"""Linear layers and convolutions of a frozen model as they are fastest on a CPU in fp32."""

from __future__ import annotations

from torch import Tensor, nn

from .convolution import convolution, is_pointwise, pointwise
from .matrices import linear

# Shape suffixes: B batch, C channels, H and W height and width.


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
