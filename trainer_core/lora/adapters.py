"""Adapters on a model: attach, train, switch off, read out, fill from a file."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..training.plan.adapter import AdapterPlan
from .dropout import Dropout, keys_of, seed_numbers
from .layer import AdapterLayer, ProductLayer
from .module import LoraModule
from .names import Target
from .networks import fresh_layer, layer_from_file


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that are trained at the same rate."""

    parameters: list[nn.Parameter]
    is_up: bool
    """Whether LoRA+'s ratio is for them: the matrices that start at zero."""
    rate_factor: float
    """Their learning rate is the part's rate times this: the factor of their block."""


class Adapters:
    """The adapters of one module (a UNet or a text encoder). Their weights are fp32 whatever the base's are."""

    def __init__(
        self,
        module: nn.Module,
        targets: Sequence[Target],
        rank: int,
        alpha: float,
        plan: AdapterPlan = AdapterPlan(),  # noqa: B008 - frozen: a plain LoRA
    ) -> None:
        self.plan = plan
        bases = [module.get_submodule(target.module) for target in targets]
        layers = [fresh_layer(base, rank, alpha, plan) for base in bases]
        self._attach(module, list(zip(targets, layers, strict=True)))

    @classmethod
    def of_file(cls, module: nn.Module, modules: Sequence[tuple[Target, LoraModule]]) -> Adapters:
        """Adapters as a LoRA file has them, of whatever kinds and ranks."""
        adapters = cls.__new__(cls)
        adapters.plan = AdapterPlan()
        layers = [(target, layer_from_file(module.get_submodule(target.module), part)) for target, part in modules]
        adapters._attach(module, layers)
        return adapters

    def _attach(self, module: nn.Module, layers: Sequence[tuple[Target, AdapterLayer]]) -> None:
        self.module = module
        self.targets = [target for target, _ in layers]
        self.layers = [layer for _, layer in layers]
        for target, layer in layers:
            parent, _, name = target.module.rpartition(".")
            setattr(module.get_submodule(parent), name, layer)

    def initialise(self, seed: int) -> None:
        """Fresh start weights from `seed` alone, with which the module gives what it gave without adapters."""
        generator = torch.Generator().manual_seed(seed)
        for layer in self.layers:
            layer.initialise(generator)

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for layer in self.layers for _, parameter in layer.trained()]

    def parameter_groups(self) -> list[ParameterGroup]:
        """The parameters by block factor and by whether they are up matrices."""
        groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
        for target, layer in zip(self.targets, self.layers, strict=True):
            for suffix, parameter in layer.trained():
                groups[target.rate_factor, suffix in layer.ups].append(parameter)
        return [ParameterGroup(found, is_up, factor) for (factor, is_up), found in groups.items()]

    def tensors(self) -> dict[str, Tensor]:
        """Copies on the CPU, fp32, under kohya's names: each target's tensors and its alpha."""
        found = {}
        for target, layer in zip(self.targets, self.layers, strict=True):
            for suffix, parameter in layer.trained():
                found[f"{target.name}.{suffix}"] = parameter.detach().to("cpu", copy=True)
            found[f"{target.name}.alpha"] = torch.tensor(float(layer.stored_alpha()))
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Fill every adapter from tensors under kohya's names, as `tensors` gives them.

        Raises:
            TrainingError: one is missing or has another size: the LoRA belongs to another model.
        """
        for target, layer in zip(self.targets, self.layers, strict=True):
            own = {suffix: tensors.get(f"{target.name}.{suffix}") for suffix, _ in layer.trained()}
            layer.fill(own, target.name)

    def set_dropout_seed(self, seed: int | None, numbers: Tensor | None = None, *, has_kernel: bool = False) -> None:
        """Leave out by chance what `seed` says, until the next call; None: leave out nothing, as for samples.

        Args:
            numbers: `seed_numbers` of the pictures that it is shown, where the module is; None: those of whole
                batches, on the CPU.
            has_kernel: Whether Triton's works there.
        """
        plan = self.plan
        if not plan.drops_out:
            return
        if seed is not None and numbers is None:
            numbers = seed_numbers(seed, 1)
        for target, layer in zip(self.targets, self.layers, strict=True):
            layer.dropout = None
            if seed is not None:
                layer.dropout = Dropout(
                    values=plan.dropout,
                    ranks=plan.rank_dropout,
                    module=plan.module_dropout,
                    seed=seed,
                    numbers=numbers,
                    name=target.name,
                    keys=keys_of(target.name),
                    has_kernel=has_kernel,
                )

    def limit_norms(self, is_wanted: Tensor) -> None:
        """Scale down every weight change that is longer than the plan's max_norm, if `is_wanted` (0-dim, bool)."""
        if self.plan.max_norm:
            for layer in self.layers:
                if isinstance(layer, ProductLayer):
                    layer.limit_norm(self.plan.max_norm, is_wanted)

    def scale(self, strength: float) -> None:
        """Show the adapters at `strength` times their trained effect."""
        for layer in self.layers:
            layer.strength = strength

    @contextlib.contextmanager
    def switched_off(self) -> Iterator[None]:
        """The module as it was without its adapters, while the context lasts."""
        for layer in self.layers:
            layer.is_on = False
        try:
            yield
        finally:
            for layer in self.layers:
                layer.is_on = True
