"""A LoRA file as the start of training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..dataset.wording import many
from ..errors import TrainingError
from ..families.base_model import BaseModel
from .adapters import Adapters
from .file import LoraFile
from .layer import AdapterLayer, ProductLayer
from .names import known_modules
from .networks import layer_from_file


def start_from(model: BaseModel, adapters: Sequence[Adapters], lora: LoraFile) -> str:
    """Fill initialised adapters with a LoRA's tensors, keeping its effect whatever the plan's alpha.

    Adapters that the file has nothing for keep their fresh start, and what the file has for other layers is left
    out. Returns a remark on how many that are; empty where file and plan agree.

    Raises:
        TrainingError: it is of another kind or rank, or nothing in it is for these adapters.
    """
    known = dict(known_modules(model))
    used, fresh = 0, 0
    for part in adapters:
        names = known[part.module]
        found = {names[module.name]: module for module in lora.parts if module.name in names}
        for target, layer in zip(part.targets, part.layers, strict=True):
            if target.module in found:
                _take_over(layer, layer_from_file(layer.base, found[target.module]), target.name)
                used += 1
            else:
                fresh += 1
    if not used:
        raise TrainingError(
            "the LoRA to start from has nothing for the layers that are trained. Choose one of this base model family."
        )
    return _remark(fresh, len(lora.parts) - used)


@torch.no_grad()
def _take_over(layer: AdapterLayer, start: AdapterLayer, name: str) -> None:
    if start.kind != layer.kind:
        raise TrainingError(
            f"the LoRA to start from is of kind {start.kind}, and the plan of kind {layer.kind}. "
            f"Set the kind to {start.kind}, or choose another file."
        )
    theirs, ours = ({suffix: tuple(t.shape) for suffix, t in one.trained()} for one in (start, layer))
    if theirs != ours:
        cause = f"rank {start.rank} where the plan has {layer.rank}" if start.rank != layer.rank else "another factor"
        raise TrainingError(
            f"the LoRA to start from has {cause} in {name}. Set rank, conv rank and lokr factor as it was trained."
        )
    layer.fill(dict(start.trained()), name)
    if isinstance(layer, ProductLayer) and start.scale != layer.scale:
        for suffix, tensor in layer.trained():
            if suffix in layer.ups:
                tensor.mul_(start.scale / layer.scale)


def _remark(fresh: int, left_out: int) -> str:
    remarks = []
    if fresh:
        remarks.append(f"it has nothing for {many(fresh, 'adapter')}, which start anew")
    if left_out:
        remarks.append(f"{many(left_out, 'module')} of it are not trained by this plan and are left out")
    return f"The LoRA to start from: {'; '.join(remarks)}." if remarks else ""
