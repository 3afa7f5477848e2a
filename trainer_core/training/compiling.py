"""The UNet's transformer blocks compiled: faster steps, where that is sound and where it pays (compile_trial.py)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from .compile_trial import blocks_of, shapes_of, try_one_block
from .decision import Decision
from .learner import Learner


def compile_where_it_pays(learner: Learner, path: Path, steps: int, *, backend: str | Callable = "inductor") -> str:
    """Compile the blocks of a learner's UNet, or leave them; what to tell of it.

    Args:
        path: Where the run keeps what it decided, so that it goes on likewise.
        steps: That are left.
    """
    if reason := _impossible(learner):  # first, for a run may go on elsewhere than where it decided
        return f"not compiled: {reason}"
    if kept := Decision.kept(path):
        if kept.is_taken:
            _compile(learner, backend)
        return kept.line
    trial = try_one_block(learner, backend)
    decision = Decision(is_taken=trial.pays(steps), line=trial.line(steps))
    if decision.is_taken:
        _compile(learner, backend)
    decision.keep(path)
    return decision.line


def plainly(learner: Learner) -> AbstractContextManager[None]:
    """A learner's compiled blocks compute as plain ones: a picture of another size would have each compiled again.

    Where none is compiled, the compiler is not even loaded, which takes seconds.
    """
    return torch.compiler.set_stance("force_eager") if learner.is_compiled else nullcontext()


def _impossible(learner: Learner) -> str:
    if learner.device == "cpu":
        return "it is for GPUs"
    if learner.team.size > 1:
        return "several processes train"
    if learner.choice.base != "full" or learner.choice.offload:
        return "it takes a base model in full that stays on the GPU"
    if not hasattr(torch.compiler, "set_stance"):
        return "it takes torch 2.6 or newer"
    return ""


def _compile(learner: Learner, backend: str | Callable) -> None:
    blocks, learner.is_compiled = blocks_of(learner), True
    _allow_kinds(len(blocks) * shapes_of(learner))
    for block in blocks:
        block.compile(backend=backend, dynamic=False)


def _allow_kinds(count: int) -> None:
    """torch gives up compiling what has been compiled for 8 shapes, unless it is told that there are more."""
    settings = torch._dynamo.config
    name = "recompile_limit" if hasattr(settings, "recompile_limit") else "cache_size_limit"
    setattr(settings, name, max(count, getattr(settings, name)))
