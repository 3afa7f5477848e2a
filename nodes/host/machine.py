"""ComfyUI's device and memory, and leaving its inference mode."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import comfy.model_management
import psutil
import torch

from ...trainer_core.devices import is_gpu
from ...trainer_core.errors import TrainingError

Interrupted = comfy.model_management.InterruptProcessingException
"""What a node raises where the user pressed Stop."""


def device() -> str:
    """The device ComfyUI computes on, as torch names it."""
    return str(comfy.model_management.get_torch_device())


def memory_in_use() -> int:
    """MiB: what torch holds of the device's memory, or on a CPU what this process holds."""
    found = comfy.model_management.get_torch_device()
    used = torch.cuda.memory_reserved(found) if is_gpu(found) else psutil.Process().memory_info().rss
    return used // 2**20


@dataclass
class Work:
    """What is being done right now, for the message if memory runs out."""

    stage: str


@contextmanager
def machine_to_ourselves(work: Work, remedy: str) -> Iterator[None]:
    """Free ComfyUI's models, allow gradients, and leave nothing behind.

    ComfyUI runs nodes in inference mode, where a weight that is loaded trains nothing and says nothing; so
    all loading must happen in here too, in a function of its own whose locals are gone when this ends.

    Raises:
        TrainingError: out of memory; names the stage and advises `remedy`.
        RuntimeError: a library tried to end the process, which would hang ComfyUI's queue.
    """
    comfy.model_management.unload_all_models()
    _release_memory()
    is_out_of_memory = False
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    except SystemExit as stop:
        raise RuntimeError(f"a library gave up while {work.stage} (exit code {stop.code}).") from None
    except Exception as problem:
        if not _is_out_of_memory(problem):
            raise
        is_out_of_memory = True
        traceback.clear_frames(problem.__traceback__)  # they hold the tensors that filled the memory
    finally:
        _release_memory()
    if is_out_of_memory:
        raise TrainingError(f"out of memory while {work.stage}. {remedy}") from None


def _is_out_of_memory(problem: Exception) -> bool:
    on_cpu = isinstance(problem, MemoryError) or "can't allocate memory" in str(problem)
    return on_cpu or comfy.model_management.is_oom(problem)


def _release_memory() -> None:
    gc.collect()
    comfy.model_management.soft_empty_cache()
