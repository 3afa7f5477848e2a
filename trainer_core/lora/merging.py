"""LoRA files on base models: merged into the weights for good, or put on for a preview."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..errors import TrainingError
from ..families.base_model import BaseModel
from .adapters import Adapters
from .file import LoraFile
from .module import LoraModule
from .names import Target, known_modules
from .networks import layer_from_file


@torch.no_grad()
def merge_loras(model: BaseModel, loras: Sequence[tuple[LoraFile, float]]) -> None:
    """Change a model's weights as if each (LoRA, strength) were loaded, one after another, in fp32.

    To be done before adapters are attached, and while the model still has its text encoders.

    Raises:
        TrainingError: a LoRA has modules that the model does not have, or of another size.
    """
    for module, changes in _by_layer(model, loras):
        weight = module.weight.float()
        for part, strength in changes:
            weight = weight + strength * layer_from_file(module, part).change_weight(weight)
        module.weight.copy_(weight)


def put_on(model: BaseModel, lora: LoraFile, strength: float) -> list[Adapters]:
    """Put a LoRA of any kind on the parts of a model that it was trained for, at `strength`.

    Raises:
        TrainingError: it has modules that the model does not have, or of another size.
    """
    found = []
    for module, parts in _by_part(model, lora):
        targets = [(Target(path, part.name), part) for path, part in parts]
        adapters = Adapters.of_file(module, targets)
        adapters.scale(strength)
        found.append(adapters)
    return found


def _by_layer(
    model: BaseModel, loras: Sequence[tuple[LoraFile, float]]
) -> list[tuple[nn.Module, list[tuple[LoraModule, float]]]]:
    """Every layer that one of the LoRAs changes, with its changes in order."""
    layers: dict[nn.Module, list[tuple[LoraModule, float]]] = {}
    for lora, strength in loras:
        for module, parts in _by_part(model, lora):
            for path, part in parts:
                layers.setdefault(module.get_submodule(path), []).append((part, strength))
    return list(layers.items())


def _by_part(model: BaseModel, lora: LoraFile) -> list[tuple[nn.Module, list[tuple[str, LoraModule]]]]:
    """(UNet or text encoder, [(path of the layer, what the file has for it)]) for each that the file has any of."""
    known = known_modules(model)
    absent = [part.name for part in lora.parts if not any(part.name in names for _, names in known)]
    if absent:
        raise TrainingError(
            f"the LoRA does not fit this base model, which has no {absent[0]} ({len(absent)} of "
            f"{len(lora.parts)} modules are missing). Choose the family it was trained on."
        )
    found = [(module, _named(names, lora)) for module, names in known]
    return [(module, parts) for module, parts in found if parts]


def _named(names: Mapping[str, str], lora: LoraFile) -> list[tuple[str, LoraModule]]:
    return [(names[part.name], part) for part in lora.parts if part.name in names]
