"""A frozen layer with an adapter on it: what all kinds of adapter have in common.

The layers are our own and not peft's, whose DoRA measures rows and whose OFT turns inputs: no LoRA file that ComfyUI
reads can say either. peft also draws dropout from the global generator, which no resumed run can repeat.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..families.cpu.convolution import convolution, is_pointwise, pointwise
from ..families.cpu.matrices import linear
from .dropout import Dropout

Shapes = Mapping[str, tuple[int, ...]]
"""Tensor name as after the dot in a LoRA file ("lora_down.weight", "hada_w1_a") -> shape."""


class AdapterLayer(nn.Module, ABC):
    """A Linear or Conv2d, with trainable tensors that change what it gives. The tensors are fp32.

    Every kind says how its tensors change an input's answer (`changed`), and how they change the weight itself
    (`change_weight`), which is what loaders do with a file. Both must be the same change.
    """

    kind: ClassVar[str]
    ups: ClassVar[tuple[str, ...]] = ()
    """Tensors that start at zero and so keep a fresh adapter without effect; LoRA+ gives them a rate of their own."""

    def __init__(self, base: nn.Linear | nn.Conv2d, shapes: Shapes, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base
        self.rank, self.alpha = rank, alpha
        self.strength = 1.0
        self.is_on = True
        self.dropout: Dropout | None = None
        for suffix, shape in shapes.items():
            tensor = torch.empty(shape, dtype=torch.float32, device=_device_of(base))
            self.register_parameter(_attribute(suffix), nn.Parameter(tensor))
        self._suffixes = tuple(shapes)

    @staticmethod
    @abstractmethod
    def shapes(base: nn.Linear | nn.Conv2d, rank: int, factor: int) -> Shapes:
        """The tensors of a fresh adapter; `factor` is the plan's lokr_factor."""

    @staticmethod
    @abstractmethod
    def rank_of(shapes: Shapes) -> int:
        """The rank of tensors of these shapes."""

    @abstractmethod
    def initialise(self, generator: torch.Generator) -> None:
        """Fresh start values, drawn on the CPU; the layer then gives what it gave without an adapter."""

    @abstractmethod
    def changed(self, x: Tensor, plain: Tensor) -> Tensor:
        """`plain`, the frozen layer's answer to `x`, with what the adapter adds to it."""

    @abstractmethod
    def change_weight(self, weight: Tensor) -> Tensor:
        """What the adapter adds to `weight` (fp32, of the layer's shape) at strength 1."""

    @abstractmethod
    def stored_alpha(self) -> float:
        """The alpha with which loaders read the file as this layer."""

    def forward(self, x: Tensor) -> Tensor:
        if is_autocast(x):
            x = x.to(torch.get_autocast_dtype(x.device.type))  # once, for the frozen layer and for the adapter
        plain = self.base(x)
        if not self.is_on or (self.dropout and self.dropout.skips_module()):
            return plain
        with self._in_format_of(x):
            return self.changed(x, plain).to(plain.dtype)

    def _in_format_of(self, x: Tensor) -> AbstractContextManager[None]:
        """What the adapter's weights, which are fp32, are multiplied in: the format of x."""
        is_half = x.dtype in (torch.bfloat16, torch.float16)
        return torch.autocast(x.device.type, x.dtype) if is_half and not is_autocast(x) else nullcontext()

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """(name after the dot in a LoRA file, tensor)."""
        return ((suffix, getattr(self, _attribute(suffix))) for suffix in self._suffixes)

    @torch.no_grad()
    def fill(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """Copy a file's tensors, by name after the dot; `name` is the module's in the file.

        Raises:
            TrainingError: one is missing or of another size: the LoRA belongs to another model.
        """
        for suffix, parameter in self.trained():
            tensor = tensors.get(suffix)
            if tensor is None or (tensor.shape[:1], tensor.numel()) != (parameter.shape[:1], parameter.numel()):
                raise TrainingError(
                    f"the LoRA does not fit this base model: {name} differs. "
                    "Choose the base model family it was trained on."
                )
            parameter.copy_(tensor.reshape(parameter.shape))

    @property
    def channels_at(self) -> int:
        """The dimension of an answer that holds the output channels."""
        return 1 if isinstance(self.base, nn.Conv2d) else -1


class ProductLayer(AdapterLayer):
    """A kind whose change of the weight is a product of its tensors, scaled by alpha / rank."""

    @abstractmethod
    def factors(self) -> list[nn.Parameter]:
        """The tensors that are multiplied."""

    @abstractmethod
    def product(self) -> Tensor:
        """The scaled product, of the weight's size."""

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def stored_alpha(self) -> float:
        return self.alpha

    def change_weight(self, weight: Tensor) -> Tensor:
        return self.product().reshape(weight.shape)

    @torch.no_grad()
    def limit_norm(self, longest: float, is_wanted: Tensor) -> None:
        """Scale the product down to the norm `longest`, all factors alike, if it is longer. No number is read."""
        factors = self.factors()
        shrunk = (longest / self.product().norm()).clamp(max=1) ** (1 / len(factors))
        torch._foreach_mul_(factors, torch.where(is_wanted, shrunk, 1))

    def apply_base(self, x: Tensor, weight: Tensor) -> Tensor:
        """`x` through a weight of the frozen layer's kind, without its bias."""
        if isinstance(self.base, nn.Linear):
            return linear(x, weight)
        if is_pointwise(self.base):
            return pointwise(x, weight)
        return convolution(x, weight, None, self.base)


def weight_shape(base: nn.Linear | nn.Conv2d) -> tuple[int, ...]:
    """Shape of a frozen layer's weight, which a layer of few bits, or one that is elsewhere, would have to make."""
    if isinstance(base, nn.Linear):
        return base.out_features, base.in_features
    return base.out_channels, base.in_channels // base.groups, *base.kernel_size


def _device_of(base: nn.Linear | nn.Conv2d) -> torch.device:
    return next(chain(base.parameters(), base.buffers())).device


def in_format_of(weight: Tensor, x: Tensor) -> Tensor:
    """What a weight is multiplied with; under autocast as it is, for both are brought into one format there."""
    return x if is_autocast(x) else x.to(weight.dtype)


def is_autocast(x: Tensor) -> bool:
    """Whether `x` is multiplied in the format of an autocast."""
    kind = x.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _attribute(suffix: str) -> str:
    return suffix.removesuffix(".weight")
