"""The samples that a run has kept: samples/<epoch>-<prompt>.png in its folder, each of which says how it was drawn."""

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, PngImagePlugin

from ..fields import read_fields
from ..picture_request import PictureRequest

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
