"""Whether a run's passes are taken from CUDA graphs: tried on its first part, against the plain pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from .decision import Decision
from .draws import Part
from .learner import Given, Learner
from .step_graphs import GpuRecorder, Recorder, StepGraphs
from .trials import distance, seconds
from .troubles import give_memory_back

_NO_MEMORY = "memory ran out"
_MOST_OFF = {"fp32": 1e-3, "bf16": 0.05, "fp16": 0.05}
"""Distance of the gradients from the plain ones, relative to their norm: libraries may choose other kernels, which
round differently. A graph that reads old memory is off by 1 and more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphTrial:
    """The pass of a part, plainly and from its graph."""

    plain: float
    """Seconds."""
    graph: float
    off: float
    """Distance of the graph's gradients and loss from the plain ones, relative to their norm."""
    most_off: float

    @property
    def is_taken(self) -> bool:
        return self.off <= self.most_off and self.graph < self.plain

    def line(self) -> str:
        if not self.off <= self.most_off:
            return f"no CUDA graphs: their gradients are {self.off:.1e} off"
        times = f"a pass takes {1000 * self.graph:.1f} ms with them, {1000 * self.plain:.1f} ms without"
        return f"CUDA graphs: {times}" if self.is_taken else f"no CUDA graphs: {times}"


def use_graphs_where_they_help(
    learner: Learner,
    path: Path,
    order: Sequence[torch.nn.Parameter],
    tell: Callable[[str], None],
    *,
    recorder: Recorder | None = None,
) -> str:
    """Let a learner take its passes from graphs, or leave it; what to tell of it. Of several processes the first one
    tries, and all do as it decided.

    Args:
        path: Where the run keeps what it decided, so that it goes on likewise.
        order: What is trained, as its optimizer has it.
        tell: Is told if graphs are given up later.
        recorder: How passes are recorded; None: as CUDA graphs.
    """
    graphs, reason = None, learner.choice.against_graphs(learner.plan)
    if not reason:
        try:
            graphs = StepGraphs(learner, recorder or GpuRecorder(learner.device), order, tell)
        except RuntimeError as problem:
            give_memory_back(problem)
            reason = _NO_MEMORY
    decision, line = None, f"no CUDA graphs: {reason}" if reason else "CUDA graphs: as the first process has it"
    if graphs and learner.team.is_first:
        decision, line = _decided(learner, graphs, path)
    (is_taken,) = learner.team.add_up(decision is not None and decision.is_taken)
    if graphs and is_taken:
        learner.learn_by(graphs)
    return line


def _decided(learner: Learner, graphs: StepGraphs, path: Path) -> tuple[Decision | None, str]:
    """What was decided, now or before, and what to tell."""
    decision = Decision.kept(path)
    if decision is None:
        try:
            decision = _try(learner, graphs)
        except RuntimeError as problem:
            give_memory_back(problem)
            return None, f"no CUDA graphs: {_NO_MEMORY}"  # the first step does what can be done about it
        decision.keep(path)
    return decision, decision.line


def _try(learner: Learner, graphs: StepGraphs) -> Decision:
    """Nothing is learned from it."""
    try:
        part = learner.first()
        # plain passes first: they need the memory that graphs then hold
        expected, plain = _learned(learner, part, learner.learn), _seconds(learner, part, learner.learn)
        given = learner.given(part)
        graphs.record(_blank(given))
        if not graphs.has_memory:
            raise torch.OutOfMemoryError(_NO_MEMORY)
        if not graphs.is_recorded(given):
            return Decision(is_taken=False, line="no CUDA graphs: a pass could not be recorded")
        off = _distance(_learned(learner, part, graphs.learn), expected)
        graph = _seconds(learner, part, graphs.learn)
        trial = GraphTrial(plain=plain, graph=graph, off=off, most_off=_MOST_OFF[learner.precision])
        return Decision(is_taken=trial.is_taken, line=trial.line())
    finally:
        _forget_gradients(learner)
        torch.cuda.empty_cache()


def _blank(given: Given) -> Given:
    """A part of the same shape that shows something else, so that what a graph does not read anew is noticed."""
    tensors = given.shown.tensors()
    blank = {name: torch.zeros_like(tensors[name]) for name in ("x_BCHW", "t_B", "drops_B3") if name in tensors}
    return replace(given, shown=replace(given.shown, **blank))


def _learned(learner: Learner, part: Part, learn: Callable[[Given], Tensor]) -> list[Tensor]:
    """Loss and gradients of a part."""
    _forget_gradients(learner)
    loss = learn(learner.given(part))
    gradients = [parameter.grad for parameter in learner.parameters if parameter.grad is not None]
    return [tensor.detach().clone() for tensor in (loss, *gradients)]


def _forget_gradients(learner: Learner) -> None:
    for parameter in learner.parameters:
        parameter.grad = None


def _distance(found: list[Tensor], expected: list[Tensor]) -> float:
    """Where what is expected overflows, as fp16's first gradients may, nothing is compared."""
    if len(found) != len(expected):
        return float("inf")
    finite = [tensor.isfinite() for tensor in expected]
    found = [tensor.where(here, 0) for tensor, here in zip(found, finite, strict=True)]
    expected = [tensor.where(here, 0) for tensor, here in zip(expected, finite, strict=True)]
    return distance(found, expected)


def _seconds(learner: Learner, part: Part, learn: Callable[[Given], Tensor]) -> float:
    """Of a pass, reading captions included where text encoders are trained."""
    return seconds(lambda: learn(learner.given(part)), learner.device)
