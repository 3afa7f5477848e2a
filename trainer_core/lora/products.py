"""LoHa and LoKr: a weight's change as a product of two smaller ones (Yeh et al., arXiv:2309.14859)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .layer import ProductLayer, Shapes, in_format_of, weight_shape


class _BuiltProduct(ProductLayer):
    """A kind that has to build the weight's change to apply it."""

    def factors(self) -> list[nn.Parameter]:
        return [tensor for _, tensor in self.trained()]

    def changed(self, x: Tensor, plain: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            change = self.product().reshape(weight_shape(self.base)) * self.strength
        answer = self.apply_base(in_format_of(change, x), change)
        return plain + (self.dropout.drop_ranks(answer, self.channels_at) if self.dropout else answer)


class LohaLayer(_BuiltProduct):
    """(w1_a w1_b) * (w2_a w2_b) * alpha / rank, elementwise (FedPara, Hyeon-Woo et al., arXiv:2108.06098)."""

    kind = "loha"
    ups = ("hada_w2_a",)

    @staticmethod
    def shapes(base: nn.Linear | nn.Conv2d, rank: int, factor: int) -> Shapes:
        outputs, inputs, *kernel = weight_shape(base)
        a, b = (outputs, rank), (rank, inputs * math.prod(kernel))
        return {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": a, "hada_w2_b": b}

    @staticmethod
    def rank_of(shapes: Shapes) -> int:
        return shapes["hada_w1_b"][0]

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Normal, of the deviations that LyCORIS starts from; w2_a zero."""
        for tensor, deviation in ((self.hada_w1_a, 0.1), (self.hada_w1_b, 1.0), (self.hada_w2_b, 1.0)):
            tensor.copy_(torch.empty(tensor.shape).normal_(0, deviation, generator=generator))
        self.hada_w2_a.zero_()

    def product(self) -> Tensor:
        return (self.hada_w1_a @ self.hada_w1_b) * (self.hada_w2_a @ self.hada_w2_b) * self.scale


class LokrLayer(_BuiltProduct):
    """kron(w1, w2) * alpha / rank. A large w2 is itself a product w2_a w2_b; files of others may split w1 likewise.

    Loaders scale by alpha / rank only where a matrix is split, and by 1 where both are whole.
    """

    kind = "lokr"
    ups = ("lokr_w2", "lokr_w2_b")

    @staticmethod
    def shapes(base: nn.Linear | nn.Conv2d, rank: int, factor: int) -> Shapes:
        outputs, inputs, *kernel = weight_shape(base)
        rows, columns = _factor_pair(outputs, factor), _factor_pair(inputs, factor)
        w1 = {"lokr_w1": (rows[0], columns[0])}
        if rank < max(rows[1], columns[1]) / 2:
            return {**w1, "lokr_w2_a": (rows[1], rank), "lokr_w2_b": (rank, columns[1] * math.prod(kernel))}
        return {**w1, "lokr_w2": (rows[1], columns[1], *kernel)}

    @staticmethod
    def rank_of(shapes: Shapes) -> int:
        """1 where both matrices are whole, which have no rank."""
        return next((shapes[name][0] for name in ("lokr_w2_b", "lokr_w1_b") if name in shapes), 1)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Kaiming uniform with a = sqrt(5), but w2 (or its second part) zero."""
        for suffix, tensor in self.trained():
            if suffix in self.ups:
                tensor.zero_()
            else:
                bound = 1 / math.sqrt(tensor[0].numel())
                tensor.copy_(torch.empty(tensor.shape).uniform_(-bound, bound, generator=generator))

    @property
    def scale(self) -> float:
        is_split = any(suffix.endswith("_b") for suffix, _ in self.trained())
        return self.alpha / self.rank if is_split else 1.0

    def product(self) -> Tensor:
        return torch.kron(self._matrix("lokr_w1"), self._matrix("lokr_w2")) * self.scale

    def _matrix(self, name: str) -> Tensor:
        whole = getattr(self, name, None)
        return getattr(self, f"{name}_a") @ getattr(self, f"{name}_b") if whole is None else whole.flatten(1)


def _factor_pair(size: int, factor: int) -> tuple[int, int]:
    """`size` as a product: its largest divisor up to `factor` (0: up to its square root), and the rest."""
    limit = min(factor or size, math.isqrt(size))
    smaller = max(divisor for divisor in range(1, limit + 1) if size % divisor == 0)
    return smaller, size // smaller
