"""Conditioning from text encoders that are not trained: each caption encoded once, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from ..families.base_model import BaseModel, Conditioning
from ..families.prompts import PromptReading
from ..progress import StageReport
from .plan.text import TextPlan

_AT_A_TIME = 16
"""Captions that go through the encoders together."""
_AHEAD = 128
"""Captions that are encoded ahead: 40 MB of SDXL's 75 tokens in half precision, 120 MB of 225."""
MOST_KEPT = 8192
"""Captions that are kept for a whole run: 1 GB of SD1.5's 75 tokens in half precision, 2.6 GB of SDXL's."""


def reading_of(text: TextPlan) -> PromptReading:
    """How captions are read for training."""
    return PromptReading(longest=text.longest_prompt, weights=text.weights)


class CaptionEncodings:
    """The conditioning of the captions of every step.

    Where all captions of a run are known and not too many, they are encoded before it, and the encoders are let go.

    Where there are more, or each visit draws its own (shuffled tags), the steps fall into windows of about 128
    captions. A window is encoded when its first step comes, and forgotten when the next one comes; in between, the
    encoders wait in main memory. A window is encoded whole wherever a run is resumed in it: the last bits of an
    encoding depend on what is encoded with it.
    """

    def __init__(
        self,
        model: BaseModel,
        text: TextPlan,
        device: str,
        captions_of: Callable[[int], Sequence[str]],
        *,
        known: Sequence[str] | None,
        total_steps: int,
        batch_size: int,
    ) -> None:
        """`captions_of`: the captions of a step, the same at every call. `known`: all of them, where they can be
        listed. `total_steps`: the steps that there are, counted like those of `captions_of`."""
        self._model, self._text, self._device, self._captions_of = model, text, device, captions_of
        self._known = None if known is None or len(set(known)) > MOST_KEPT else known
        self._total_steps = total_steps
        self._window_steps = max(1, _AHEAD // batch_size)
        self._window = -1
        self._rows: dict[str, Conditioning] = {}

    def prepare(self) -> Iterator[StageReport]:
        """Encode what is known, with progress; afterwards the text encoders take no memory on the device."""
        if self._known is None:
            self._move_encoders("cpu")
            return
        yield from self._encode(self._known)
        self._model.text_encoders = []

    def of_step(self, step: int) -> Conditioning:
        """The captions of a step as one batch, on the device."""
        if self._known is None and step // self._window_steps != self._window:
            self._enter_window(step // self._window_steps)
        return Conditioning.join([self._rows[caption] for caption in self._captions_of(step)]).sent_to(self._device)

    def _enter_window(self, window: int) -> None:
        first = window * self._window_steps
        steps = range(first, min(first + self._window_steps, self._total_steps))
        self._rows = {}
        for _ in self._encode([caption for step in steps for caption in self._captions_of(step)]):
            pass
        self._move_encoders("cpu")
        self._window = window

    @torch.no_grad()
    def _encode(self, captions: Sequence[str]) -> Iterator[StageReport]:
        """Keep the conditioning of every caption on the CPU, at its own length."""
        captions = list(dict.fromkeys(captions))
        self._move_encoders(self._device)
        for start in range(0, len(captions), _AT_A_TIME):
            batch = captions[start : start + _AT_A_TIME]
            with torch.autocast(
                torch.device(self._device).type, enabled=False
            ):  # as before the run, also within a step
                rows = self._model.encode_each(batch, self._text.clip_skip, reading_of(self._text))
            self._rows |= {text: row.to("cpu", row.states_BLD.dtype) for text, row in zip(batch, rows, strict=True)}
            yield StageReport(stage="encoding captions", done=len(self._rows), total=len(captions))

    def _move_encoders(self, device: str) -> None:
        for encoder in self._model.text_encoders:
            encoder.to(device)
