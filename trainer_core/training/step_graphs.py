"""Passes of a step recorded as CUDA graphs: a GPU repeats one without Python telling it every kernel.

A graph has one shape, and always reads and writes the same memory. So every shape of a run's parts has a graph of its
own; what a part shows is copied to where the graph reads it, and the gradients of the UNet's adapters have fixed
places. Text encoders are not recorded: where they are trained, the graph gives the gradient of their answers.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .learner import Given, Learner

Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Makes of a function that works on fixed memory one that does the same work again on what lies there then."""
MOST_SHAPES = 16
"""Graphs of a run; parts of any further shape are computed plainly."""
_WARM_UPS = 3
"""Passes before the one that is recorded, in which libraries choose their kernels and take their memory."""


class StepGraphs:
    """Does what `Learner.learn` does, with the same gradients."""

    def __init__(self, learner: Learner, record: Record) -> None:
        self._learner, self._record = learner, record
        self._graphs: dict[tuple, _Graph | None] = {}
        unet = [part for part in learner.adapters if part.module is learner.model.unet]
        self._parameters = [parameter for part in unet for parameter in part.parameters()]
        self._gradients = [torch.zeros_like(parameter) for parameter in self._parameters]

    def learn(self, given: Given) -> Tensor:
        """Add the gradients of a part; returns what it adds to the step's loss, still on the device."""
        shape = _shape(given)
        if shape not in self._graphs:
            self.record(given)
        if (graph := self._graphs[shape]) is None:
            return self._learner.learn(given)
        self._place_gradients()
        return graph.learn(given)

    def record(self, given: Given) -> None:
        """Record the pass for parts of this shape, or remember that there is none: there are enough, or it failed."""
        has_room = sum(graph is not None for graph in self._graphs.values()) < MOST_SHAPES
        self._graphs[_shape(given)] = self._try_to_record(given) if has_room else None

    def is_recorded(self, given: Given) -> bool:
        return self._graphs.get(_shape(given)) is not None

    def _try_to_record(self, given: Given) -> _Graph | None:
        self._place_gradients()
        before = [gradient.clone() for gradient in self._gradients]
        try:
            return _Graph(self._learner, given, self._parameters, self._gradients, self._record)
        except RuntimeError:  # an operation that cannot be recorded, or no memory for it
            gc.collect()
            return None
        finally:
            for gradient, value in zip(self._gradients, before, strict=True):
                gradient.copy_(value)

    def _place_gradients(self) -> None:
        """Have every gradient where the graphs add to it, with what the parameter has so far."""
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            if parameter.grad is gradient:
                continue
            if parameter.grad is None:
                gradient.zero_()
            else:
                gradient.copy_(parameter.grad)
            parameter.grad = gradient


class _Graph:
    """The pass of one shape."""

    def __init__(
        self,
        learner: Learner,
        given: Given,
        parameters: Sequence[torch.nn.Parameter],
        gradients: Sequence[Tensor],
        record: Record,
    ) -> None:
        self._given = _copied(given)
        learned = _learned(self._given)

        def run() -> None:
            with learner.passing():
                loss = learner.loss(self._given)
                found = torch.autograd.grad(learner.scaler.scale(loss), [*parameters, *learned])
            if parameters:
                torch._foreach_add_(gradients, found[: len(parameters)])
            self._loss, self._of_learned = loss.detach(), found[len(parameters) :]

        self._replay = record(run)
        self._noise_schedule = learner.schedule.alphas_cumprod  # the graph reads it, so it must not be let go

    def learn(self, given: Given) -> Tensor:
        with torch.no_grad():
            torch._foreach_copy_(_tensors(self._given), _tensors(given))
        self._replay()
        if learned := _learned(given):
            torch.autograd.backward(learned, self._of_learned)
        return self._loss.clone()  # the next replay writes over it


def _shape(given: Given) -> tuple:
    return tuple((tuple(tensor.shape), tensor.dtype, tensor.requires_grad) for tensor in _tensors(given))


def _tensors(given: Given) -> list[Tensor]:
    return [*given.shown.tensors().values(), given.states_BLD, *given.added.values()]


def _learned(given: Given) -> list[Tensor]:
    """Answers of text encoders that are trained."""
    return [tensor for tensor in (given.states_BLD, *given.added.values()) if tensor.requires_grad]


def _copied(given: Given) -> Given:
    """The same values in memory of their own, which nothing led to."""

    def copied(tensor: Tensor) -> Tensor:
        return tensor.detach().clone().requires_grad_(tensor.requires_grad)

    shown = replace(given.shown, **{name: copied(tensor) for name, tensor in given.shown.tensors().items()})
    added = {name: copied(tensor) for name, tensor in given.added.items()}
    return replace(given, shown=shown, states_BLD=copied(given.states_BLD), added=added)


@dataclass(slots=True)
class GpuRecorder:
    """Records CUDA graphs that share the memory of their activations, as only one of them runs at a time."""

    device: torch.device
    _pool: tuple[int, int] | None = None

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        with torch.cuda.device(self.device):
            torch.cuda.empty_cache()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UPS):
                    run()
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # thread_local: what other threads ask of the GPU meanwhile, a server's or the one that draws the next
            # step, spoils nothing
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                run()
            self._pool = graph.pool()
        return graph.replay
