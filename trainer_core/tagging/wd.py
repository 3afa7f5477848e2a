"""SmilingWolf's WD taggers as ONNX files (https://huggingface.co/SmilingWolf), run by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..devices import is_gpu
from ..errors import TrainingError
from .model_files import identity_of
from .tag_list import TagList
from .tagger import TagAnswer
from .wd_tags import check_outputs, read_wd_tags

CHARACTER_THRESHOLD = 0.85
_THRESHOLD = 0.35
_THRESHOLDS = {
    "wd-eva02-large-tagger-v3": 0.5296,
    "wd-swinv2-tagger-v3": 0.2653,
    "wd-v1-4-convnext-tagger-v2": 0.3685,
    "wd-v1-4-swinv2-tagger-v2": 0.3771,
    "wd-v1-4-vit-tagger-v2": 0.3537,
}
"""Where precision equals recall, from the models' cards; other models get what their author uses."""

_PREPARATION = "wd onnx 1"
"""Raise it with every change of what the model sees: kept answers are then asked for anew."""
_BATCH_ON_GPU = 8


@dataclass(frozen=True, slots=True)
class WdModel:
    """A WD tagger in two files."""

    name: str
    model: Path
    """model.onnx."""
    tags: Path
    """selected_tags.csv."""

    @property
    def identity(self) -> str:
        return identity_of(_PREPARATION, self.model, self.tags)

    @property
    def threshold(self) -> float:
        return default_threshold(self.name)

    @property
    def character_threshold(self) -> float:
        return CHARACTER_THRESHOLD

    def load(self, device: str) -> WdTagger:
        """Open one session, on the GPU where `device` is one and onnxruntime can use it.

        Raises:
            TrainingError: onnxruntime is missing, a file is missing or damaged, or the two do not belong together.
        """
        tags = read_wd_tags(self.tags)
        return WdTagger(_session(self, torch.device(device)), tags, self)


class WdTagger:
    """A session that is asked about pictures; made by `WdModel.load`.

    Raises:
        TrainingError: the session is no WD tagger's, or has not as many outputs as there are tags.
    """

    def __init__(self, session: Any, tags: TagList, files: WdModel) -> None:
        self._session, self._tags, self._files = session, tags, files
        self._input, self._output = session.get_inputs()[0], session.get_outputs()[0]
        if not _is_wd(self._input.shape, self._output.shape):
            raise TrainingError(
                f"{files.model} is not a WD tagger: it makes {self._output.shape} of {self._input.shape}, not "
                "[N, tags] of [N, side, side, 3]. Download model.onnx again, or choose another tagger."
            )
        check_outputs(tags, self._output.shape[1], files.tags)
        self._side = self._input.shape[1]
        is_fixed = self._input.shape[0] == 1  # exports of 2022
        on_gpu = session.get_providers()[0] == "CUDAExecutionProvider"
        self.batch_size = _BATCH_ON_GPU if on_gpu and not is_fixed else 1

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """(side, side, 3) float32, 0 to 255, blue first."""
        return np.asarray(white_square(picture, self._side), dtype=np.float32)[..., ::-1]

    def answer(self, prepared: Sequence[np.ndarray]) -> list[TagAnswer]:
        """The graph ends in probabilities; nothing is done to them.

        Raises:
            TrainingError: onnxruntime fails, such as for want of memory.
        """
        return [
            self._tags.answer(scores)
            for start in range(0, len(prepared), self.batch_size)
            for scores in self._run(np.stack(prepared[start : start + self.batch_size]))
        ]

    def _run(self, pictures_NHWC: np.ndarray) -> np.ndarray:
        try:
            return self._session.run([self._output.name], {self._input.name: pictures_NHWC})[0]
        except Exception as problem:  # onnxruntime's errors have no common class
            raise TrainingError(
                f"the tagger {self._files.name} stopped: {_first_line(problem)}. Choose another tagger, or the CPU."
            ) from problem


def default_threshold(name: str) -> float:
    """That of general tags for a WD tagger by its name."""
    return _THRESHOLDS.get(name, _THRESHOLD)


def white_square(picture: Image.Image, side: int) -> Image.Image:
    """An RGB picture in the middle of a white square, as large as its longer side, then resized to `side` pixels."""
    longest = max(picture.size)
    square = Image.new("RGB", (longest, longest), "white")
    square.paste(picture, ((longest - picture.width) // 2, (longest - picture.height) // 2))
    return square.resize((side, side), Image.Resampling.BICUBIC)


def _session(files: WdModel, device: torch.device) -> Any:
    try:
        import onnxruntime
    except ImportError as problem:
        raise TrainingError(
            f"the tagger {files.name} needs the package onnxruntime. Install it (pip install onnxruntime), "
            "or choose deepdanbooru or BLIP, which need nothing more."
        ) from problem
    providers: list[Any] = ["CPUExecutionProvider"]
    if is_gpu(device) and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    try:
        return onnxruntime.InferenceSession(files.model, providers=providers)
    except Exception as problem:  # onnxruntime's errors have no common class
        raise TrainingError(
            f"cannot load {files.model}: {_first_line(problem)}. Download model.onnx again, or choose another tagger."
        ) from problem


def _is_wd(inputs: Sequence[int | str | None], outputs: Sequence[int | str | None]) -> bool:
    """Whether the shapes are those of [N, side, side, 3] pictures in and [N, tags] scores out. N is 1 or a name."""
    return (
        len(inputs) == 4
        and (inputs[0] == 1 or not isinstance(inputs[0], int))
        and isinstance(inputs[1], int)
        and inputs[1:] == [inputs[1], inputs[1], 3]
        and len(outputs) == 2
        and isinstance(outputs[1], int)
    )


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0].rstrip(".")
