"""The kinds of adapter by name: a fresh one as planned, or one with a file's tensors."""

from __future__ import annotations

import math

from torch import nn

from ..errors import TrainingError
from ..training.plan.adapter import AdapterPlan
from .layer import AdapterLayer, Shapes, weight_shape
from .low_rank import DoraLayer, LoraLayer
from .module import LoraModule
from .products import LohaLayer, LokrLayer
from .rotation import OftLayer

KINDS: dict[str, type[AdapterLayer]] = {
    layer.kind: layer for layer in (LoraLayer, DoraLayer, LohaLayer, LokrLayer, OftLayer)
}


def scale_of(rank: int, alpha: float, plan: AdapterPlan) -> float | None:
    """What the product of an adapter's matrices counts at strength 1; None of oft, which has no scale."""
    if plan.kind == "oft":
        return None
    return alpha / math.sqrt(rank) if plan.rank_stabilised else alpha / rank


def fresh_layer(base: nn.Linear | nn.Conv2d, rank: int, alpha: float, plan: AdapterPlan) -> AdapterLayer:
    """An adapter on `base` as planned, its tensors not filled yet; 3x3 convolutions have a rank of their own."""
    if _is_wide(base):
        rank, alpha = plan.conv_rank, plan.conv_alpha
    if plan.rank_stabilised:
        alpha *= math.sqrt(rank)  # files know no other scale than alpha / rank
    return KINDS[plan.kind](base, KINDS[plan.kind].shapes(base, rank, plan.lokr_factor), rank, alpha)


def fresh_shapes(base: nn.Linear | nn.Conv2d, rank: int, plan: AdapterPlan) -> Shapes:
    """Shapes of the tensors that `fresh_layer` has."""
    return KINDS[plan.kind].shapes(base, plan.conv_rank if _is_wide(base) else rank, plan.lokr_factor)


def layer_from_file(base: nn.Linear | nn.Conv2d, module: LoraModule) -> AdapterLayer:
    """An adapter on `base` with a file's tensors.

    Raises:
        TrainingError: they do not fit `base`.
    """
    kind = KINDS[module.kind]
    rank = rank_of(module)
    alpha = rank if module.alpha is None else module.alpha
    given = {suffix: tuple(tensor.shape) for suffix, tensor in module.tensors.items()}
    layer = kind(base, given if kind is LokrLayer else kind.shapes(base, rank, 0), rank, alpha)
    layer.fill(module.tensors, module.name)
    if isinstance(layer, LokrLayer) and layer.product().numel() != math.prod(weight_shape(base)):
        raise TrainingError(
            f"the LoRA does not fit this base model: {module.name} differs. "
            "Choose the base model family it was trained on."
        )
    if isinstance(layer, OftLayer) and module.alpha:
        layer.limit_turn(module.alpha)
    return layer


def rank_of(module: LoraModule) -> int:
    """Rank of a module; the size of its blocks for oft."""
    return KINDS[module.kind].rank_of({suffix: tuple(tensor.shape) for suffix, tensor in module.tensors.items()})


def _is_wide(base: nn.Linear | nn.Conv2d) -> bool:
    return isinstance(base, nn.Conv2d) and base.kernel_size != (1, 1)
