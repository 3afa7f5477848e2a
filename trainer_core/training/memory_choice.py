"""What a run does to fit into memory: as its plan says, or with the least that is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import psutil
import torch

from ..devices import is_gpu
from ..errors import TrainingError
from ..fields import read_fields
from ..files import read_json, write_json
from .plan import TrainingPlan
from .step_memory import GB, StepMemory

_REMEDIES = (
    "Lower batch_size or rank, crop to fewer pixels in Smart Crop, set text_encoder_rate to 0, or set short_memory "
    "to try."
)


_SMALLER_BASES = {"full": ("fp8", "nf4"), "fp8": ("nf4",), "int8": ("nf4",), "nf4": ()}


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryChoice:
    """How a run spends time to save memory."""

    checkpoint_every: int
    """Every how many blocks are computed again in the backward pass; 0: none."""
    parts: int
    """In how many parts a batch goes through the model; their gradients add up to those of the batch."""
    base: Literal["full", "fp8", "int8", "nf4"]
    """How the frozen weights of the UNet are kept."""
    offload: bool = False
    """Whether the UNet's blocks wait in the CPU's memory."""
    tiles: bool = False
    """Whether pictures go through the VAE in tiles."""

    @staticmethod
    def as_set(plan: TrainingPlan, *, on_gpu: bool) -> MemoryChoice:
        """On a CPU nothing is offloaded: the weights are where they would go."""
        precision = plan.precision
        every = precision.checkpoint_every if precision.gradient_checkpointing else 0
        return MemoryChoice(checkpoint_every=every, parts=1, base=precision.base, offload=precision.offload and on_gpu)

    def with_all_of(self, other: MemoryChoice) -> MemoryChoice:
        """What both do, on the base model of this one."""
        every = min(filter(None, (self.checkpoint_every, other.checkpoint_every)), default=0)
        return replace(self, checkpoint_every=every, offload=self.offload or other.offload)

    @property
    def packs_weights(self) -> bool:
        """Whether layers make their weights when they are used."""
        return self.base != "full" or self.offload

    def against_graphs(self, plan: TrainingPlan) -> str:
        """Why no pass of a run can be a CUDA graph; empty where one can."""
        if self.offload:
            return "they take a base model that stays on the GPU"
        if plan.adapter.module_dropout:
            return "whether module dropout leaves an adapter out is drawn on the CPU"
        return ""

    def words(self, plan: TrainingPlan) -> str:
        """ "checkpointing every 2 blocks, batch 4 in 2 parts, base model in fp8"."""
        every = self.checkpoint_every
        words = [
            f"checkpointing every {every} blocks" if every > 1 else "checkpointing" if every else "no checkpointing"
        ]
        words.append(f"batch {plan.batch_size}" + (f" in {self.parts} parts" if self.parts > 1 else ""))
        if self.offload:
            words.append("blocks offloaded to the CPU")
        if self.base != "full":
            words.append(f"base model in {self.base}")
        if self.tiles:
            words.append("pictures encoded in tiles")
        return ", ".join(words)


def savings(plan: TrainingPlan, pictures: int, *, on_gpu: bool) -> Iterator[MemoryChoice]:
    """What could be done, from what the plan says to what saves most; each costs more than the one before.

    Checkpointing, batches in parts and offloading change no gradient and come first; a base model in fewer bits is
    another one, nearly. `pictures`: how many the largest batch has.
    """
    choice = MemoryChoice.as_set(plan, on_gpu=on_gpu)
    for every in (2, 1):
        if not choice.checkpoint_every or every < choice.checkpoint_every:
            yield (choice := replace(choice, checkpoint_every=every))
    while choice.parts < pictures:
        yield (choice := replace(choice, parts=min(2 * choice.parts, pictures)))
    if on_gpu and not choice.offload:
        yield (choice := replace(choice, offload=True))
    for base in _SMALLER_BASES[choice.base]:
        yield (choice := replace(choice, base=base))


def choose(
    plan: TrainingPlan,
    pictures: int,
    needed: Callable[[MemoryChoice], StepMemory],
    free: int | None,
    *,
    on_gpu: bool = False,
    keeps_base: bool = False,
) -> tuple[MemoryChoice, list[str]]:
    """What a run does, and what to tell of it.

    Args:
        free: Bytes; None where nobody knows.
        keeps_base: Whether the base model has to stay as the plan has it.

    Raises:
        TrainingError: the plan is to be kept as it is, or nothing saves enough; it says what would help.
    """
    as_set = MemoryChoice.as_set(plan, on_gpu=on_gpu)
    memory = needed(as_set)
    if free is None:
        return as_set, [memory.line()]
    told = f"{memory.line()}; {free / GB:.1f} GB are free"
    if memory.total <= free:
        return as_set, [told]
    if plan.precision.short_memory == "try":
        return as_set, [f"{told}, so memory may run out"]
    possible = (one for one in savings(plan, pictures, on_gpu=on_gpu) if one.base == as_set.base or not keeps_base)
    choice = next((one for one in possible if needed(one).total <= free), None)
    if choice is None:
        raise TrainingError(f"{told}, and nothing that short_memory can reduce is enough. {_REMEDIES}")
    smaller = needed(choice)
    if plan.precision.short_memory == "reduce":
        return choice, [f"{free / GB:.1f} GB are free: {choice.words(plan)}", smaller.line()]
    raise TrainingError(
        f"{told}. Set short_memory to reduce ({choice.words(plan)}: {smaller.total / GB:.1f} GB). {_REMEDIES}"
    )


def choose_tiles(plan: TrainingPlan, needed: Callable[[bool], int], free: int | None) -> tuple[bool, list[str]]:
    """Whether pictures are encoded in tiles, and what to tell of it. `needed`: bytes of encoding the largest picture,
    with tiles or without; `free`: bytes; None where nobody knows.

    Raises:
        TrainingError: it does not fit, and the plan does not allow to change it, or tiles are not enough.
    """
    if free is None or (whole := needed(False)) <= free:
        return False, []
    told = f"encoding the largest picture needs about {whole / GB:.1f} GB of memory, {free / GB:.1f} GB are free"
    if plan.precision.short_memory == "try":
        return False, [f"{told}, so memory may run out"]
    tiled = needed(True)
    if tiled > free:
        raise TrainingError(f"{told}, and tiles need {tiled / GB:.1f} GB. Crop to fewer pixels in Smart Crop.")
    if plan.precision.short_memory == "reduce":
        return True, [f"{told}, so pictures are encoded in tiles ({tiled / GB:.1f} GB)"]
    raise TrainingError(
        f"{told}. Set short_memory to reduce (pictures encoded in tiles: {tiled / GB:.1f} GB), or crop to fewer pixels "
        "in Smart Crop."
    )


def kept_choice(path: Path) -> MemoryChoice | None:
    """What a run that goes on did so far; None where it did not begin, or had nothing to choose."""
    return read_fields(MemoryChoice, read_json(path), path.name) if path.is_file() else None


def base_remark(path: Path, plan: TrainingPlan) -> str:
    """What to tell where a run has another base model than the plan says by now; else nothing."""
    kept = kept_choice(path)
    if not kept or kept.base == plan.precision.base or plan.precision.short_memory == "reduce":
        return ""
    return f"the base model is in {kept.base}, as this run began. Delete the run to train on the whole one."


def keep_choice(path: Path, choice: MemoryChoice) -> None:
    write_json(path, asdict(choice))


def free_memory(device: str) -> int | None:
    """Bytes that a run may take on a device; None where the device does not tell.

    What torch keeps from earlier work without using it counts as free.
    """
    kind = torch.device(device)
    if kind.type == "cpu":
        return psutil.virtual_memory().available
    if not is_gpu(kind):
        return None
    free, _ = torch.cuda.mem_get_info(kind)
    return free + torch.cuda.memory_reserved(kind) - torch.cuda.memory_allocated(kind)
