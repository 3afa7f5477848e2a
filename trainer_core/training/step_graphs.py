"""Passes of a step recorded as CUDA graphs: a GPU repeats one without Python telling it every kernel.

A graph has one shape, and always reads and writes the same memory. So every shape of a run's parts has a graph of its
own; what a part shows is copied to where the graph reads it, and the gradients of the UNet's adapters have fixed
places. Text encoders are not recorded: where they are trained, the graph gives the gradient of their answers.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from ..families.beside import ends_beside
from .learner import Given, Learner
from .memory_choice import free_memory
from .strip import Strip
from .troubles import is_out_of_memory


class Recorder(Protocol):
    """Makes of functions that work on fixed memory others, which do the same work again on what lies there then."""

    def record(self, run: Callable[[], None]) -> Callable[[], None]: ...

    def is_in_the_way(self) -> bool:
        """Whether less memory is left for others than all that was recorded holds."""

    def forget(self) -> None:
        """Nobody has anything any more that was recorded."""


GIVEN_UP = "memory ran out, so the CUDA graphs are given up: the same result, slower"
MOST_SHAPES = 16
"""Graphs of a run; parts of any further shape are computed plainly."""
_WARM_UPS = 3
"""Passes before the one that is recorded, in which libraries choose their kernels and take their memory."""


class StepGraphs:
    """Does what `Learner.learn` does, with the same gradients."""

    def __init__(
        self, learner: Learner, recorder: Recorder, order: Sequence[torch.nn.Parameter], tell: Callable[[str], None]
    ) -> None:
        """
        Args:
            order: What is trained, as its optimizer has it.
            tell: Is told if memory does not do any more.
        """
        self._learner, self._recorder, self._tell = learner, recorder, tell
        self._graphs: dict[tuple, _Graph | None] = {}
        self.has_memory = True
        """For one more graph, as far as is known."""
        unet = [part for part in learner.adapters if part.module is learner.model.unet]
        of_unet = {id(parameter) for part in unet for parameter in part.parameters()}
        self.strip = Strip([parameter for parameter in order if id(parameter) in of_unet])
        """The UNet's; where only text encoders are trained, of nothing."""

    def learn(self, given: Given) -> Tensor:
        """Add the gradients of a part; returns what it adds to the step's loss, still on the device."""
        shape = _shape(given)
        if shape not in self._graphs:
            self.record(given)
        if (graph := self._graphs[shape]) is None:
            return self._learner.learn(given)
        self.strip.place_gradients()
        return graph.learn(given)

    def record(self, given: Given) -> None:
        """Record the pass for parts of this shape, or remember that there is none: there are enough, or it failed.

        Where memory does not do for one more, all are let go, and the run goes on without.
        """
        has_room = self.has_memory and sum(graph is not None for graph in self._graphs.values()) < MOST_SHAPES
        self._graphs[_shape(given)] = self._try_to_record(given) if has_room else None
        if has_room and not self.has_memory:
            self._let_go()
            self._learner.learn_itself()
            self._tell(GIVEN_UP)

    def make_room(self) -> None:
        """Let all graphs go where less memory is left than they hold; they are recorded anew when they are needed."""
        if self._recorder.is_in_the_way():
            self._let_go()

    def is_recorded(self, given: Given) -> bool:
        return self._graphs.get(_shape(given)) is not None

    def _try_to_record(self, given: Given) -> _Graph | None:
        self.strip.place_gradients()
        before = self.strip.whole.grad.clone()
        try:
            return _Graph(self._learner, given, self.strip, self._recorder)
        except RuntimeError as problem:  # an operation that cannot be recorded, or no memory for it
            self.has_memory = not is_out_of_memory(problem)
            gc.collect()
            return None
        finally:
            self.strip.whole.grad.copy_(before)

    def _let_go(self) -> None:
        self._graphs = {shape: None for shape, graph in self._graphs.items() if graph is None}
        gc.collect()
        self._recorder.forget()


class _Graph:
    """The pass of one shape."""

    def __init__(self, learner: Learner, given: Given, strip: Strip, recorder: Recorder) -> None:
        self._given = _copied(given)
        learned = _learned(self._given)
        parameters = strip.parameters

        def run() -> None:
            with learner.passing(strip):
                loss = learner.loss(self._given)
                scaled = learner.scaler.scale(loss)
                found = torch.autograd.grad(scaled, [*parameters, *learned], allow_unused=True)
            come = [pair for pair in zip(strip.gradients, found, strict=False) if pair[1] is not None]
            if come:
                torch._foreach_add_(*zip(*come, strict=True))
            self._loss, self._of_learned = loss.detach(), found[len(parameters) :]
            if any(gradient is None for gradient in self._of_learned):
                raise RuntimeError("the UNet does not read what a text encoder says")

        self._replay = recorder.record(run)
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


class GpuRecorder:
    """Records CUDA graphs that share the memory of their activations, as only one of them runs at a time."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.forget()

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        with torch.cuda.device(self._device):
            torch.cuda.empty_cache()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            try:
                with torch.cuda.stream(aside):
                    for _ in range(_WARM_UPS):
                        run()
            finally:  # else what is left of a pass that failed could add its gradients later
                torch.cuda.current_stream().wait_stream(aside)
            torch.cuda.empty_cache()
            before, graph = torch.cuda.memory_reserved(), torch.cuda.CUDAGraph()
            # thread_local: what other threads ask of the GPU meanwhile, a server's or the one that draws the next
            # step, spoils nothing
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"), ends_beside():
                run()
            self._pool = graph.pool()
            self._held += torch.cuda.memory_reserved() - before
        return graph.replay

    def is_in_the_way(self) -> bool:
        return free_memory(self._device) - self._held < self._held  # torch counts what graphs hold as free

    def forget(self) -> None:
        self._pool: tuple[int, int] | None = None
        self._held = 0
        """Bytes of activations."""
        torch.cuda.empty_cache()
