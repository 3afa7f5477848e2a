"""Frozen weights kept in 8 or 4 bits, or elsewhere. Each layer makes its weight when it is used, also backwards.

The formats need no package and work on every device: they save memory, not time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_FEWEST = 4096
"""Weights of a layer that is worth it."""
_FP8_MOST, _INT8_MOST = 448.0, 127.0
_NF4_BLOCK = 64

Pack = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A weight with one row an output channel -> (codes, scales)."""


def quantise(unet: nn.Module, kind: str, *, are_stand_ins: bool = False) -> None:
    """Keep the weights of a UNet's blocks in the format `kind`, "full" for as they are.

    What stands before and after the blocks stays whole. To be done once LoRAs are merged, and before adapters are
    attached.

    Args:
        are_stand_ins: The weights are tensors without storage: one of each shape is packed, the others become alike.
    """
    pack = _PackedOnce(_ALL[kind].pack) if are_stand_ins else None
    for blocks in (unet.down_blocks, unet.mid_block, unet.up_blocks):
        for parent in list(blocks.modules()):
            for name, layer in list(parent.named_children()):
                if isinstance(layer, (nn.Linear, nn.Conv2d)) and layer.weight.numel() >= _FEWEST:
                    small = QuantisedLinear if isinstance(layer, nn.Linear) else QuantisedConv2d
                    setattr(parent, name, small(layer, _ALL[kind], pack))


class _PackedOnce:
    """Packs one weight of each shape."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._packed: dict[torch.Size, tuple[Tensor, Tensor]] = {}

    def __call__(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        if weight.shape in self._packed:
            codes, scales = self._packed[weight.shape]
            return torch.empty_like(codes), torch.empty_like(scales)
        return self._packed.setdefault(weight.shape, self._pack(weight))


# ------------------------------------------------------------------------------------------------------- formats


class Format(ABC):
    """How a weight is kept: codes, and scales by which they are multiplied."""

    @staticmethod
    @abstractmethod
    def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
        """(codes, scales) of a weight with one row an output channel."""

    @staticmethod
    def table() -> Tensor:
        """What codes stand for, where they are no numbers themselves."""
        return torch.empty(0)

    @staticmethod
    @abstractmethod
    def unpack(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
        """The weight in fp32, or whole as it was, of any shape with its elements in order; 4 bits may have a few zeros
        behind it. All lie on the device: a copy from the CPU would make a GPU wait."""


class Whole(Format):
    """The weight as it is."""

    @staticmethod
    def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight, weight.new_empty(0)

    @staticmethod
    def unpack(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
        return codes


class Fp8(Format):
    """float8_e4m3fn (arXiv:2209.05433), each output channel scaled so that its largest weight is the largest number."""

    @staticmethod
    def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
        scales = _largest(weight.flatten(1).float()) / _FP8_MOST
        return (weight.flatten(1).float() / scales).to(torch.float8_e4m3fn), scales

    @staticmethod
    def unpack(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
        return codes.float() * scales


class Int8(Format):
    """Whole numbers from -127 to 127, each output channel with its own scale."""

    @staticmethod
    def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
        scales = _largest(weight.flatten(1).float()) / _INT8_MOST
        return (weight.flatten(1).float() / scales).round().to(torch.int8), scales

    @staticmethod
    def unpack(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
        return codes.float() * scales


class Nf4(Format):
    """16 levels at the quantiles of a normal distribution, blocks of 64 weights with a scale each, two weights in a
    byte (QLoRA, Dettmers et al., arXiv:2305.14314)."""

    @staticmethod
    def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
        flat = weight.flatten().float()
        blocks = functional.pad(flat, (0, -flat.numel() % _NF4_BLOCK)).reshape(-1, _NF4_BLOCK)
        scales = _largest(blocks)
        levels = Nf4.table().to(weight.device)
        nearest = torch.bucketize(blocks / scales, (levels[1:] + levels[:-1]) / 2).to(torch.uint8)
        return nearest[:, ::2] << 4 | nearest[:, 1::2], scales

    @staticmethod
    def unpack(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
        both = torch.stack([codes >> 4, codes & 15], dim=-1).flatten(1)
        return table[both.int()] * scales

    @staticmethod
    def table() -> Tensor:
        return torch.tensor(_nf4_numbers(), dtype=torch.float32)


FORMATS: dict[str, type[Format]] = {"fp8": Fp8, "int8": Int8, "nf4": Nf4}
_ALL = {"full": Whole, **FORMATS}


def _largest(rows: Tensor) -> Tensor:
    """The largest size in each row, never 0 (rows, 1)."""
    return rows.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny * 1e3)


@cache
def _nf4_numbers() -> tuple[float, ...]:
    """The paper's 16 levels from -1 to 1: 7 below 0, 8 above, and 0 itself."""
    end = (1 - 1 / 32 + 1 - 1 / 30) / 2  # the paper's outermost quantile
    quantile = NormalDist().inv_cdf
    above = [quantile(end + (0.5 - end) * place / 8) for place in range(8)]
    below = [-quantile(end + (0.5 - end) * place / 7) for place in range(7)]
    return tuple(level / above[0] for level in (*below, 0.0, *reversed(above)))


# -------------------------------------------------------------------------------------------------------- layers


class Quantised(nn.Module):
    """What both kinds of layer do; `weight` is made at every look, in the format of the arithmetic. Who wants to know
    only its shape asks lora/layer.py's `weight_shape`."""

    def _keep(self, layer: nn.Linear | nn.Conv2d, kind: type[Format], pack: Pack | None) -> None:
        codes, scales = (pack or kind.pack)(layer.weight.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.register_buffer("table", kind.table())
        self.register_parameter("bias", layer.bias)
        self._kind, self._shape, self._dtype = kind, layer.weight.shape, layer.weight.dtype
        self._fetch: Callable[[], Sequence[Tensor]] | None = None

    def keep_elsewhere(self, fetch: Callable[[], Sequence[Tensor]]) -> None:
        """Hold nothing, and ask `fetch` for codes and scales whenever they are needed."""
        del self.codes, self.scales
        self._fetch = fetch

    def stored(self) -> Sequence[Tensor]:
        """Codes and scales, from wherever they are."""
        return self._fetch() if self._fetch else (self.codes, self.scales)

    @property
    def weight(self) -> Tensor:
        whole = self._kind.unpack(*self.stored(), self.table).flatten()
        return whole[: self._shape.numel()].reshape(self._shape).to(self._dtype)

    def forward(self, x: Tensor) -> Tensor:
        return _Apply.apply(x, self, self.bias)

    def without_bias(self, x: Tensor) -> Tensor:
        return _Apply.apply(x, self, None)


class QuantisedLinear(Quantised, nn.Linear):
    """A frozen Linear with a small weight."""

    def __init__(self, layer: nn.Linear, kind: type[Format], pack: Pack | None = None) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self._keep(layer, kind, pack)

    def answer(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(x, self.weight, bias)

    def gradient(self, shape: torch.Size, gradient: Tensor) -> Tensor:
        return gradient @ self.weight.to(gradient.dtype)


class QuantisedConv2d(Quantised, nn.Conv2d):
    """A frozen Conv2d with a small weight."""

    def __init__(self, layer: nn.Conv2d, kind: type[Format], pack: Pack | None = None) -> None:
        nn.Module.__init__(self)
        self.in_channels, self.out_channels, self.kernel_size = layer.in_channels, layer.out_channels, layer.kernel_size
        self.stride, self.padding, self.dilation, self.groups = (
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
        )
        self.padding_mode = layer.padding_mode
        self._keep(layer, kind, pack)

    def answer(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(x, self.weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def gradient(self, shape: torch.Size, gradient: Tensor) -> Tensor:
        weight = self.weight.to(gradient.dtype)
        return nn.grad.conv2d_input(shape, weight, gradient, self.stride, self.padding, self.dilation, self.groups)


class _Apply(torch.autograd.Function):
    """A layer's answer that keeps no weight for the backward pass: it is made a second time there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantisedLinear | QuantisedConv2d, bias: Tensor | None) -> Tensor:
        ctx.layer, ctx.shape, ctx.dtype = layer, x.shape, x.dtype
        return layer.answer(x, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.layer.gradient(ctx.shape, gradient).to(ctx.dtype), None, None
