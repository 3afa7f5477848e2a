"""One block of the UNet compiled: whether its gradients hold, what compiling takes, and what a step gains.

Compiled gradients are not taken on trust. On CPUs inductor's have been 6 to 12 % off with a loss that looked right. So
the block's, and those of diffusers' own, are compared with fp64's. Its seconds are compared with what the run has
otherwise: layers that are fused already, and CUDA graphs, leave a compiler less to gain.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from ..devices import is_gpu
from ..lora.halves import halves_at_hand
from ..lora.layer import AdapterLayer
from .device_layers import use_gpu_layers
from .learner import Learner
from .precision import FORMATS
from .step_graphs import GpuRecorder
from .trials import distance, seconds

_MOST_WORSE = 2.0
"""How many times the plain gradients' error the compiled ones may have."""
_LEAST_ERROR = 1e-6
"""Below this, errors are not compared: fp32 has no more digits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One block, compiled and not."""

    blocks: int
    """How many of the UNet's are like it: of its size, with inputs of the same shape."""
    kinds: int
    """How many sizes of blocks and shapes of inputs a run has; each is compiled on its own."""
    wait: float
    """Seconds to compile one kind."""
    plain: float
    """Seconds forwards and backwards, as the run computes it without a compiler."""
    compiled: float
    plain_error: float
    """Distance of all gradients of diffusers' own block from those in fp64, relative to their norm."""
    compiled_error: float

    @property
    def is_sound(self) -> bool:
        return self.compiled_error <= max(_MOST_WORSE * self.plain_error, _LEAST_ERROR)

    @property
    def break_even(self) -> float:
        """Steps after which the wait is made up for; infinite where nothing is gained."""
        gain = self.blocks * (self.plain - self.compiled)
        return self.kinds * self.wait / gain if gain > 0 else float("inf")

    def line(self, steps: int) -> str:
        """What came of it, for a run of so many steps."""
        if not self.is_sound:
            return (
                f"not compiled: compiled gradients are {self.compiled_error:.1e} off, plain ones "
                f"{self.plain_error:.1e}, in one block compared with fp64"
            )
        if self.break_even == float("inf"):
            return "not compiled: a compiled block is no faster here"
        ends = f"{self.kinds * self.wait:.0f} s of compiling pay after {self.break_even:,.0f} steps"
        return f"compiled: {ends}" if self.pays(steps) else f"not compiled: {ends}, and {steps:,} are left"

    def pays(self, steps: int) -> bool:
        return self.is_sound and self.break_even < steps


def shapes_of(learner: Learner) -> int:
    """How many sizes the run's pictures have."""
    return len({image.bucket for image in learner.dataset.images})


def blocks_of(learner: Learner) -> list[nn.Module]:
    return [module for module in learner.model.unet.modules() if isinstance(module, BasicTransformerBlock)]


def try_one_block(learner: Learner, backend: str | Callable) -> Trial:
    """Compile the kind of block that the UNet has most of, with the inputs that it has in a step."""
    seen = _inputs(learner)
    kinds = Counter(_kind(block, given) for block, given in seen)
    (kind, blocks), *_ = kinds.most_common(1)
    block, given = next((_for_trial(block), given) for block, given in seen if _kind(block, given) == kind)
    compiled = torch.compile(block, backend=backend, dynamic=False)
    began = time.perf_counter()
    compiled_gradients = _gradients(compiled, block, given)
    wait = time.perf_counter() - began
    plain_gradients = _gradients(block, block, given)
    exact = _exact_gradients(block, given)
    plain, fast = _seconds(
        [_without_compiler(block, given, learner), partial(_gradients, compiled, block, given)], learner
    )
    return Trial(
        blocks=blocks,
        kinds=len(kinds) * shapes_of(learner),
        wait=wait,
        plain=plain,
        compiled=fast,
        plain_error=distance(plain_gradients, exact),
        compiled_error=distance(compiled_gradients, exact),
    )


def _without_compiler(block: nn.Module, given: tuple, learner: Learner) -> Callable[[], object]:
    """What computes gradients by the layers that the run has where nothing is compiled."""
    other, dtype = copy.deepcopy(block), FORMATS[learner.precision]
    use_gpu_layers(other, learner.device, dtype, will_compile=False)
    adapters = SimpleNamespace(layers=[layer for layer in other.modules() if isinstance(layer, AdapterLayer)])

    def gradients() -> None:
        with halves_at_hand([adapters], dtype):
            _gradients(other, other, given)

    return gradients


def _seconds(works: Sequence[Callable[[], object]], learner: Learner) -> list[float]:
    """From CUDA graphs where the run takes them: without, what Python takes to ask for kernels would decide."""
    has_graphs = learner.plan.precision.cuda_graphs and not learner.choice.against_graphs(learner.plan)
    found = _seconds_from_graphs(works, learner.device) if is_gpu(learner.device) and has_graphs else []
    return found or [seconds(work, learner.device) for work in works]


def _seconds_from_graphs(works: Sequence[Callable[[], object]], device: str) -> list[float]:
    """None where one of them cannot be recorded, or there is no memory for it."""
    recorder = GpuRecorder(device)
    try:
        return [seconds(recorder.record(work), device) for work in works]
    except RuntimeError:
        return []
    finally:
        recorder.forget()


def _for_trial(block: nn.Module) -> nn.Module:
    """A copy that drops nothing out, as nothing by chance may stand between two answers."""
    block = copy.deepcopy(block)
    for layer in block.modules():
        if isinstance(layer, AdapterLayer):
            layer.dropout = None
    return block


def _inputs(learner: Learner) -> list[tuple[nn.Module, tuple]]:
    """Every transformer block of the UNet, with what it is given in the run's first step."""
    seen: list[tuple[nn.Module, tuple]] = []

    def remember(block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        seen.append((block, tree_map_only(Tensor, torch.clone, (args, kwargs))))

    hooks = [block.register_forward_pre_hook(remember, with_kwargs=True) for block in blocks_of(learner)]
    try:
        with torch.no_grad():
            learner.predict_once()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _kind(block: nn.Module, given: tuple) -> tuple:
    """What a compiled block is made for: shapes of inputs and of weights."""
    return (
        tuple(tuple(leaf.shape) for leaf in tree_leaves(given) if isinstance(leaf, Tensor)),
        tuple((name, tuple(parameter.shape)) for name, parameter in block.named_parameters()),
    )


def _gradients(run: Callable, block: nn.Module, given: tuple) -> list[Tensor]:
    """Of the sum of squares of the answer, for what is trained in the block and for its input."""
    args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), given)
    args[0].requires_grad_()
    return _gradients_of(run(*args, **kwargs), block, args[0])


def _exact_gradients(block: nn.Module, given: tuple) -> list[Tensor]:
    exact = copy.deepcopy(block).double()
    args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.detach().double(), given)
    args[0].requires_grad_()
    return _gradients_of(exact(*args, **kwargs), exact, args[0])


def _gradients_of(answer: Tensor, block: nn.Module, x: Tensor) -> list[Tensor]:
    trained = [parameter for parameter in block.parameters() if parameter.requires_grad]
    return list(torch.autograd.grad(answer.double().square().sum(), [x, *trained], allow_unused=False))
