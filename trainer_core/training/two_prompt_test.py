"""The two-prompt test drawn at the end of a run: with the LoRA as it is kept, and without."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path

import torch
from PIL import Image

from ..dataset.pictures import training_pixels
from ..dataset.types import Dataset
from ..families.base_model import BaseModel, Conditioning
from ..files import read_json, write_json
from ..lora.adapters import Adapters
from ..picture_request import PictureRequest
from ..progress import StageReport, reported
from ..sampling import draw_in_steps, encode_request
from .plan import TrainingPlan
from .two_prompts import TwoPromptResult, choose_prompts, compare_pictures

_COMPARED = 32
"""Training pictures that the drawn ones are compared with, at most."""
_STEPS = 20


class TwoPromptTest:
    """What is drawn, and where its result is kept. Off unless the plan asks for it and there are captions to draw."""

    def __init__(self, training: Dataset, plan: TrainingPlan, file: Path, *, precision: str, device: str) -> None:
        self._training, self._plan, self._file = training, plan, file
        self._precision, self._device = precision, device
        self._prompts = choose_prompts(training, plan.validation)
        pictures = training.training_images
        is_wanted = plan.validation.every_epochs and plan.validation.two_prompts and len(pictures) > 1
        self.is_on = bool(is_wanted and self._prompts.sources)
        width, height = pictures[0].bucket if self.is_on else (512, 512)
        like = PictureRequest(prompt="", width=width, height=height, steps=_STEPS, seed=plan.validation.seed)
        self._requests = self._prompts.requests(like) if self.is_on else []
        self._encoded: list[Conditioning] = []

    @torch.no_grad()
    def encode(self, model: BaseModel) -> None:
        """Read the prompts once, for runs whose text encoders are freed. Needs them on the device."""
        rows = [self._encode(model, request) for request in self._requests]
        self._encoded = [row.to("cpu", row.states_BLD.dtype) for row in rows]

    def draw(self, model: BaseModel, adapters: Sequence[Adapters]) -> Generator[StageReport, None, None]:
        """Draw all pictures twice and keep what they show, with progress after every sampler step; a result that is
        there already is not drawn again."""
        if not self.is_on or self._file.exists():
            return
        drawn = yield from self._draw_all(model)
        with contextlib.ExitStack() as off:
            for part in adapters:
                off.enter_context(part.switched_off())
            drawn_without = yield from self._draw_all(model)
        result = compare_pictures(
            drawn,
            drawn_without,
            [training_pixels(image) for image in self._prompts.sources],
            [training_pixels(image) for image in self._training.training_images[:_COMPARED]],
        )
        write_json(self._file, result.to_json())

    def result(self) -> TwoPromptResult | None:
        """What was found; None where nothing was drawn."""
        return TwoPromptResult.from_json(read_json(self._file)) if self._file.exists() else None

    def _draw_all(self, model: BaseModel) -> Generator[StageReport, None, list[Image.Image]]:
        pictures = []
        for number, request in enumerate(self._requests):
            conditioning = self._encoded[number] if self._encoded else self._encode(model, request)
            steps = draw_in_steps(model, request, conditioning, device=self._device)
            pictures.append((yield from reported(steps, "drawing for the verdict", request.steps)))
        return pictures

    def _encode(self, model: BaseModel, request: PictureRequest) -> Conditioning:
        return encode_request(
            model,
            request,
            clip_skip=self._plan.text.clip_skip,
            precision=self._precision,
            device=self._device,
        )
