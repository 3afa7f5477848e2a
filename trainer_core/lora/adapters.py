"""LoRA adapters on a model: attach, train, switch off, read out, fill from a file.

An adapter adds up(down(x)) * alpha / rank to a frozen layer (Hu et al., arXiv:2106.09685). `down` starts random
(Kaiming uniform), `up` starts at zero, so a fresh LoRA changes nothing. peft inserts the layers.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from ..errors import TrainingError
from .names import Target

_ADAPTER = "default"


class Adapters:
    """The adapters of one module (a UNet or a text encoder). Their weights are fp32 whatever the base's are."""

    def __init__(self, module: nn.Module, targets: Sequence[Target], rank: int, alpha: float) -> None:
        self.module = module
        self.targets = list(targets)
        self.alpha = alpha
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=[target.module for target in targets])
        with torch.random.fork_rng(devices=[]):  # peft draws start weights from the global generator
            inject_adapter_in_model(config, module, adapter_name=_ADAPTER)
        self._layers: list[BaseTunerLayer] = [module.get_submodule(target.module) for target in self.targets]
        for parameter in self.parameters():
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)

    def initialise(self, seed: int) -> None:
        """Fresh start weights from `seed` alone: `down` Kaiming uniform with a = sqrt(5) as kohya's, `up` zero."""
        generator = torch.Generator().manual_seed(seed)
        for down, up in self._pairs():
            bound = 1 / math.sqrt(down[0].numel())  # Kaiming's bound for a = sqrt(5)
            start = torch.empty(down.shape).uniform_(-bound, bound, generator=generator)
            with torch.no_grad():
                down.copy_(start)
                up.zero_()

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for pair in self._pairs() for parameter in pair]

    def tensors(self) -> dict[str, Tensor]:
        """Copies on the CPU, fp32, under kohya's names: lora_down, lora_up and alpha of every target."""
        found = {}
        for target, (down, up) in zip(self.targets, self._pairs(), strict=True):
            found[f"{target.name}.lora_down.weight"] = down.detach().to("cpu", copy=True)
            found[f"{target.name}.lora_up.weight"] = up.detach().to("cpu", copy=True)
            found[f"{target.name}.alpha"] = torch.tensor(float(self.alpha))
        return found

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Fill every adapter from tensors under kohya's names.

        Raises:
            TrainingError: one is missing or has another shape: the LoRA belongs to another model.
        """
        for target, pair in zip(self.targets, self._pairs(), strict=True):
            for parameter, end in zip(pair, ("lora_down", "lora_up"), strict=True):
                tensor = tensors.get(f"{target.name}.{end}.weight")
                if tensor is None or tensor.numel() != parameter.numel():
                    raise TrainingError(
                        f"the LoRA does not fit this base model: {target.name} differs. "
                        "Choose the base model family it was trained on."
                    )
                parameter.copy_(tensor.reshape(parameter.shape))

    def scale(self, strength: float) -> None:
        """Show the adapters at `strength` times their trained effect."""
        for layer in self._layers:
            layer.set_scale(_ADAPTER, strength)

    @contextlib.contextmanager
    def switched_off(self) -> Iterator[None]:
        """The module as it was without its adapters, while the context lasts."""
        for layer in self._layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in self._layers:
                layer.enable_adapters(True)

    def _pairs(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return [(layer.lora_A[_ADAPTER].weight, layer.lora_B[_ADAPTER].weight) for layer in self._layers]
