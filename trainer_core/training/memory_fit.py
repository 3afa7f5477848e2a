"""Whether a job's steps fit into the memory of a device, and what the run does about it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

from ..dataset.types import Dataset
from ..families.architecture import Architecture, architecture_of
from ..job import Job
from .device_layers import usual_pixels
from .encoding_memory import encoding_memory
from .memory import largest_shape, step_memory
from .memory_choice import MemoryChoice, choose, choose_tiles, free_memory, keep_choice, kept_choice
from .plan import OptimizerPlan, PrecisionPlan, TrainingPlan
from .shares import first_batches
from .step_memory import StepMemory, StepShape


class MemoryFit:
    """A job's steps on a device. Nothing is loaded: a step is counted in seconds, from shapes alone."""

    def __init__(self, job: Job, dataset: Dataset, *, precision: str, device: str, processes: int) -> None:
        """`dataset`: what is trained, all pictures with their crops. `processes`: how many share a step."""
        self._job, self._dataset = job, dataset
        self._precision, self._device, self._processes = precision, device, processes
        self._on_gpu = device != "cpu"

    def as_set(self) -> StepMemory:
        """What a step needs as the plan has it."""
        return self._needed(MemoryChoice.as_set(self._job.plan, on_gpu=self._on_gpu))

    def settle(self, path: Path, *, has_begun: bool) -> tuple[MemoryChoice, list[str]]:
        """What the run does, and what to tell of it.

        Args:
            path: Where a run keeps that, so that it goes on likewise.
            has_begun: Whether it has taken steps. Then its base model stays what it is.

        Raises:
            TrainingError: a step does not fit, and the plan does not allow to change it.
        """
        plan, free = self._job.plan, free_memory(self._device)
        kept = kept_choice(path) if has_begun else None
        if kept and plan.precision.short_memory == "reduce":
            kept = kept.with_all_of(MemoryChoice.as_set(plan, on_gpu=self._on_gpu))
            memory = self._needed(kept)
            if free is None or memory.total <= free:
                return kept, [f"as the run began: {kept.words(plan)}", memory.line()]
        if kept:
            plan = replace(plan, precision=replace(plan.precision, base=kept.base))
        choice, told = choose(plan, self._shape.pictures, self._needed, free, on_gpu=self._on_gpu, keeps_base=has_begun)
        tiles, also_told = choose_tiles(plan, self._encoding, free)
        choice = replace(choice, tiles=tiles)
        if plan.precision.short_memory == "reduce":
            keep_choice(path, choice)
        elif not has_begun:
            path.unlink(missing_ok=True)  # of an attempt that was set otherwise
        return choice, [*told, *also_told]

    def _encoding(self, tiles: bool) -> int:
        width, height = max(self._buckets, key=lambda bucket: bucket[0] * bucket[1])
        return _counted_encoding(self._architecture, width, height, tiles, self._device, self._precision)

    def _needed(self, choice: MemoryChoice) -> StepMemory:
        return _counted(
            self._architecture,
            _what_counts(self._job.plan),
            self._shape,
            choice,
            self._precision,
            self._device,
            self._processes,
            usual_pixels(self._batches, self._buckets, choice.parts),
        )

    @cached_property
    def _architecture(self) -> Architecture:
        return architecture_of(self._job.base_model)

    @cached_property
    def _batches(self) -> list[list[int]]:
        return first_batches(self._dataset, self._job.plan, self._processes)

    @cached_property
    def _buckets(self) -> list[tuple[int, int]]:
        return [image.bucket for image in self._dataset.images]

    @cached_property
    def _shape(self) -> StepShape:
        return largest_shape(self._batches, self._buckets, self._job.plan)


@lru_cache(maxsize=64)
def _counted(
    architecture: Architecture,
    plan: TrainingPlan,
    shape: StepShape,
    choice: MemoryChoice,
    precision: str,
    device: str,
    processes: int,
    usual_pixels: int,
) -> StepMemory:
    return step_memory(
        architecture.outline(),
        plan,
        shape,
        choice,
        precision=precision,
        device=device,
        processes=processes,
        usual_pixels=usual_pixels,
    )


@lru_cache(maxsize=64)
def _counted_encoding(
    architecture: Architecture, width: int, height: int, tiles: bool, device: str, precision: str
) -> int:
    return encoding_memory(architecture.outline(), width, height, tiles=tiles, device=device, precision=precision)


def _what_counts(plan: TrainingPlan) -> TrainingPlan:
    """The plan without what changes no memory, so that a count serves many plans."""
    optimizer = plan.optimizer
    return TrainingPlan(
        accumulation=plan.accumulation,
        network=plan.network,
        adapter=plan.adapter,
        optimizer=OptimizerPlan(
            name=optimizer.name,
            unet_rate=float(bool(optimizer.rate_of_unet)),
            text_encoder_rate=float(bool(optimizer.rate_of_text_encoder)),
            beta1=optimizer.beta1,
        ),
        ema=plan.ema,
        precision=PrecisionPlan(compile=plan.precision.compile, cuda_graphs=plan.precision.cuda_graphs),
    )
