"""LoRA and DoRA: two small matrices, and with DoRA the size of each input's weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..families.cpu.convolution import pointwise
from ..families.cpu.frozen import FrozenLinear
from ..families.cpu.matrices import can_multiply, linear
from ..families.quantised import Quantised
from .joint import Factors, Sum, lora_linears
from .layer import ProductLayer, Shapes, in_format_of, weight_shape

if TYPE_CHECKING:
    from .border import Border


class LoraLayer(ProductLayer):
    """up(down(x)) * alpha / rank (Hu et al., arXiv:2106.09685). Of a convolution, `down` has the kernel."""

    kind = "lora"
    ups = ("lora_up.weight",)
    halves: tuple[Tensor, Tensor] | None = None
    """down, and up times the scale, in half precision; None: the weights themselves are multiplied (halves.py)."""
    sums: tuple[Sum | None, Sum | None] = (None, None)
    """Where their gradients may be added meanwhile."""
    border: Border | None = None
    places: tuple[Tensor, Tensor] | None = None
    """Where the halves are kept, if there is a border."""

    @staticmethod
    def shapes(base: nn.Linear | nn.Conv2d, rank: int, factor: int) -> Shapes:
        outputs, inputs, *kernel = weight_shape(base)
        return {"lora_down.weight": (rank, inputs, *kernel), "lora_up.weight": (outputs, rank, *(1 for _ in kernel))}

    @staticmethod
    def rank_of(shapes: Shapes) -> int:
        return shapes["lora_down.weight"][0]

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """`down` Kaiming uniform with a = sqrt(5) as kohya's, `up` zero."""
        bound = 1 / math.sqrt(self.lora_down[0].numel())  # Kaiming's bound for a = sqrt(5)
        self.lora_down.copy_(torch.empty(self.lora_down.shape).uniform_(-bound, bound, generator=generator))
        self.lora_up.zero_()

    def factors(self) -> list[nn.Parameter]:
        return [self.lora_down, self.lora_up]

    def product(self) -> Tensor:
        return self.lora_up.flatten(1) @ self.lora_down.flatten(1) * self.scale

    def joins(self, x: Tensor) -> bool:
        """Whether it is, for this input, a frozen linear layer with nothing but a LoRA, and its factors are at hand:
        halves, or in fp32 on a CPU its own."""
        if type(self.base) is FrozenLinear:
            return self._is_bare and not self.halves and can_multiply(x, self.base.weight)
        return self._is_bare and bool(self.halves) and type(self.base) is nn.Linear

    @property
    def room(self) -> int:
        """What it, and those that share its border, would write behind each row of their input (families/room.py)."""
        return self.border.room if self.border and self.halves and self._is_bare else 0

    @property
    def _is_bare(self) -> bool:
        return self.is_on and not self.dropout and type(self) is LoraLayer

    @property
    def factors_at_hand(self) -> Factors:
        if self.halves:
            return Factors(*self.halves, 1.0, self.sums)
        return Factors(self.lora_down, self.lora_up, self.strength * self.scale)

    def forward(self, x: Tensor) -> Tensor:
        return self._joint(x, biased=True) if self.joins(x) else super().forward(x)

    def unbiased(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Its answer, and the bias that it lacks yet, if any."""
        return (self._joint(x, biased=False), self.base.bias) if self.joins(x) else (self(x), None)

    def _joint(self, x: Tensor, *, biased: bool) -> Tensor:
        return lora_linears(x, [self.base], [self.factors_at_hand], self.border, biased=biased)[0]

    def changed(self, x: Tensor, plain: Tensor) -> Tensor:
        if self.halves:
            down, scaled_up = self.halves
            return self._up(self._down(x, down), scaled_up, plain)
        return self._up(self._down(x, self.lora_down) * (self.strength * self.scale), self.lora_up, plain)

    def _down(self, x: Tensor, down: Tensor) -> Tensor:
        inner = self.apply_base(in_format_of(down, x), down)
        if self.dropout:
            inner = self.dropout.drop_ranks(self.dropout.drop_values(inner), self.channels_at)
        return inner

    def _up(self, inner: Tensor, up: Tensor, added: Tensor) -> Tensor:
        apply_up = pointwise if isinstance(self.base, nn.Conv2d) else linear
        return apply_up(inner, up, added=added)


class DoraLayer(LoraLayer):
    """W' = m * (W + up down alpha / rank) / ||W + up down alpha / rank|| (Liu et al., arXiv:2402.09353).

    The norm is the paper's, of each column: of all weights that one input channel has. That is the form of
    `dora_scale` which ComfyUI, A1111 and kohya's scripts read alike. As the paper advises, no gradient goes through
    the norm. Scaling columns is scaling inputs, so no step builds W'.
    """

    kind = "dora"

    @staticmethod
    def shapes(base: nn.Linear | nn.Conv2d, rank: int, factor: int) -> Shapes:
        _, inputs, *kernel = weight_shape(base)
        return {**LoraLayer.shapes(base, rank, factor), "dora_scale": (1, inputs, *(1 for _ in kernel))}

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """As LoRA, with the sizes that the frozen weight has."""
        super().initialise(generator)
        self.dora_scale.copy_(_norm_of_columns(self.base.weight.float()))

    def changed(self, x: Tensor, plain: Tensor) -> Tensor:
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            weight = self.base.weight.float()
            norm = _norm_of_columns(weight + self.product().reshape(weight.shape))
        factor_of_inputs = self.dora_scale / norm
        scaled = x * (factor_of_inputs[0] if isinstance(self.base, nn.Linear) else factor_of_inputs)
        # W' x - W x; the bias of the two answers would cancel out
        moved = self._without_bias((scaled - x).to(x.dtype))
        inner = self._down(scaled, self.lora_down) * self.scale
        return plain + self._up(inner, self.lora_up, moved) * self.strength

    def _without_bias(self, x: Tensor) -> Tensor:
        """The frozen layer's answer, which is to keep no weight of few bits for the backward pass."""
        if isinstance(self.base, Quantised):
            return self.base.without_bias(x)
        return self.apply_base(x, self.base.weight)

    def change_weight(self, weight: Tensor) -> Tensor:
        changed = weight + self.product().reshape(weight.shape)
        return changed * (self.dora_scale / _norm_of_columns(changed)) - weight


def _norm_of_columns(weight: Tensor) -> Tensor:
    """(1, inputs) or (1, inputs, 1, 1): the norm of what each input channel weighs."""
    others = [dimension for dimension in range(weight.dim()) if dimension != 1]
    return torch.linalg.vector_norm(weight, dim=others, keepdim=True) + torch.finfo(weight.dtype).eps
