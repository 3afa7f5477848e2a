"""Samples of a run while it trains: what the LoRA draws now. They leave the run as they find it, and never end it.

Kept as samples/<epoch>-<prompt>.png in the run's folder. Every picture comes from its request's seed and the weights
alone, so one that is there already is not drawn again.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image, PngImagePlugin
from torch import nn

from ..errors import TrainingError
from ..families.base_model import BaseModel, Conditioning
from ..families.loading import parts_of
from ..fields import read_fields
from ..files import write_atomic
from ..lora.adapters import Adapters
from ..picture_request import PictureRequest
from ..progress import StageReport, reported
from ..sampling import draw_in_steps, encode_request
from .plan.samples import SamplePlan

_KEY = "lora_atelier.sample"
"""Text chunk of the PNG: the request, epoch and step as JSON."""
_FOLDER = "samples"
_REMEMBERED = 4096
"""Samples whose files need not be opened again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One sample of a run, as it is kept."""

    epoch: float
    """Epochs trained; 0 is before the first step. A fraction where it was asked for within an epoch."""
    step: int
    number: int
    """Which of the plan's prompts, from 1."""
    request: PictureRequest
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class MissedSample:
    """A sample that could not be drawn."""

    remark: str
    """One line for the user: which, why, and what to change."""


class SampleDrawer:
    """Draws the samples of one run."""

    def __init__(self, plan: SamplePlan, run_folder: Path, *, clip_skip: int, precision: str, device: str) -> None:
        self.requests = plan.requests()
        self._folder = run_folder / _FOLDER
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
        return sample_path(self._folder.parent, epoch, number)


def sample_path(run_folder: Path, epoch: float, number: int) -> Path:
    """Where a sample is kept: 000002-01.png, or 000002.25-01.png within an epoch."""
    whole, _, hundredths = f"{epoch:g}".partition(".")
    part = f".{hundredths}" if hundredths else ""
    return run_folder / _FOLDER / f"{int(whole):06d}{part}-{number:02d}.png"


def newest_sample(run_folder: Path) -> dict[str, float] | None:
    """Epoch and number of the first prompt's last sample; no file is opened for it."""
    folder = run_folder / _FOLDER
    names = os.listdir(folder) if folder.is_dir() else ()  # a path for each would take five times as long
    epochs = [float(name.split("-")[0]) for name in names if name.endswith("-01.png")]
    return {"epoch": max(epochs), "number": 1} if epochs else None


def list_samples(run_folder: Path) -> list[Sample]:
    """The samples that a run has kept, by epoch and prompt; files that say nothing of themselves are left out."""
    paths = (run_folder / _FOLDER).glob("*.png")
    found = [_read(path, path.stat().st_mtime_ns) for path in paths]
    return sorted((sample for sample in found if sample), key=lambda sample: (sample.epoch, sample.number))


@lru_cache(maxsize=_REMEMBERED)
def _read(path: Path, changed_ns: int) -> Sample | None:
    """What the file tells of itself before its pixels, which are not decoded."""
    try:
        with Image.open(path) as picture:
            facts = json.loads(picture.info[_KEY])
        request = read_fields(PictureRequest, facts["request"], path.name)
        return Sample(epoch=facts["epoch"], step=facts["step"], number=facts["number"], request=request, path=path)
    except (OSError, KeyError, TypeError, ValueError):
        return None


def sample_png(picture: Image.Image, sample: Sample) -> bytes:
    """A PNG that says how it was drawn: in our own words, and in those that A1111 and ComfyUI read."""
    request = sample.request
    facts = {"epoch": sample.epoch, "step": sample.step, "number": sample.number, "request": asdict(request)}
    text = PngImagePlugin.PngInfo()
    text.add_itxt(_KEY, json.dumps(facts, ensure_ascii=False))
    text.add_itxt(
        "parameters",
        f"{request.prompt}\nNegative prompt: {request.negative}\nSteps: {request.steps}, Sampler: {request.sampler}, "
        f"CFG scale: {request.cfg:g}, Seed: {request.seed}, Size: {request.width}x{request.height}",
    )
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


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
