"""Samples of a run while it trains: what the LoRA draws now. They leave the run as they find it, and never end it.

Every picture comes from its request's seed and the weights alone, so one that is there already is not drawn again.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from ..errors import TrainingError
from ..families.base_model import BaseModel, Conditioning
from ..families.loading import parts_of
from ..files import write_atomic
from ..lora.adapters import Adapters
from ..picture_request import PictureRequest
from ..progress import StageReport, reported
from ..sampling import draw_in_steps, encode_request
from .kept_samples import MissedSample, Sample, sample_path, sample_png
from .plan.samples import SamplePlan


class SampleDrawer:
    """Draws the samples of one run."""

    def __init__(self, plan: SamplePlan, run_folder: Path, *, clip_skip: int, precision: str, device: str) -> None:
        self.requests = plan.requests()
        self._run_folder = run_folder
        self._clip_skip, self._precision, self._device = clip_skip, precision, device
        self._encoded: list[Conditioning] = []

    def encode(self, model: BaseModel) -> None:
        """Read the prompts once, for runs whose text encoders are not trained: those may be freed afterwards.

        Needs the text encoders on the device. The prompts are kept in main memory.
        """
        encoded = [self._encode(model, request) for request in self.requests]
        self._encoded = [prompt.to("cpu", prompt.states_BLD.dtype) for prompt in encoded]

    def draw(
        self, model: BaseModel, adapters: Sequence[Adapters], *, epoch: float, step: int
    ) -> Iterator[StageReport | Sample | MissedSample]:
        """Draw what this epoch has not yet, with progress after every sampler step.

        Needs the UNet on the device and the VAE anywhere; the text encoders on the device unless `encode` was called.
        Training modes, dropout, gradients and the global RNG are afterwards as before, also where it is left early.
        """
        pending = [number for number in range(1, len(self.requests) + 1) if not self._path(epoch, number).exists()]
        with _as_for_pictures(model, adapters):
            for number in pending:
                try:
                    yield from self._draw_one(model, epoch, step, number)
                    continue
                except Exception as problem:  # whatever it is, the run is worth more than its samples
                    remark = _remark(problem, epoch, number)
                _free_memory()
                yield MissedSample(remark=remark)

    def first_of(self, epoch: float) -> Path | None:
        """The sample of the first prompt after `epoch` epochs, where it is there."""
        path = self._path(epoch, 1)
        return path if path.exists() else None

    def _draw_one(self, model: BaseModel, epoch: float, step: int, number: int) -> Iterator[StageReport | Sample]:
        request = self.requests[number - 1]
        conditioning = self._encoded[number - 1] if self._encoded else self._encode(model, request)
        steps = draw_in_steps(model, request, conditioning, device=self._device)
        stage = f"drawing sample {number} of {len(self.requests)}"
        picture = yield from reported(steps, stage, request.steps)
        sample = Sample(epoch=epoch, step=step, number=number, request=request, path=self._path(epoch, number))
        write_atomic(sample.path, sample_png(picture, sample))
        yield sample

    def _encode(self, model: BaseModel, request: PictureRequest) -> Conditioning:
        return encode_request(model, request, clip_skip=self._clip_skip, precision=self._precision, device=self._device)

    def _path(self, epoch: float, number: int) -> Path:
        return sample_path(self._run_folder, epoch, number)


@contextlib.contextmanager
def _as_for_pictures(model: BaseModel, adapters: Sequence[Adapters]) -> Iterator[None]:
    """Evaluation mode and no dropout while the context lasts; then every part is as it was."""
    modes: dict[nn.Module, bool] = {part: part.training for whole in parts_of(model) for part in whole.modules()}
    dropouts = [(layer, layer.dropout) for part in adapters for layer in part.layers]
    try:
        for whole in parts_of(model):
            whole.eval()
        for layer, _ in dropouts:
            layer.dropout = None
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        for layer, dropout in dropouts:
            layer.dropout = dropout


def _remark(problem: Exception, epoch: float, number: int) -> str:
    which = f"Sample {number} after epoch {epoch:g} is missing"
    if isinstance(problem, torch.cuda.OutOfMemoryError):
        return f"{which}: not enough GPU memory. Make the samples smaller, or train without them."
    if isinstance(problem, TrainingError):
        return f"{which}: {problem}"
    first_line = next(iter(str(problem).strip().splitlines()), "")
    return f"{which}: {type(problem).__name__}: {first_line} The run goes on without it."


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
