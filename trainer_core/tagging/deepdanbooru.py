"""DeepDanbooru v3 as a tagger, from the file model-resnet_custom_v3.pt; needs nothing but PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..devices import half_on_gpu
from ..errors import TrainingError
from ..families.sending import send
from .deepdanbooru_network import SIDE, DeepDanbooruNetwork
from .model_files import identity_of
from .tag_list import TagList
from .tagger import TagAnswer

_PREPARATION = "deepdanbooru 1"
"""Raise it with every change of what the model sees: kept answers are then asked for anew."""
_THRESHOLD = 0.6
_BATCH_ON_GPU = 8


@dataclass(frozen=True, slots=True)
class DeepDanbooruModel:
    """The file that A1111 and many packs use."""

    file: Path
    name: str = "deepdanbooru"

    @property
    def identity(self) -> str:
        return identity_of(_PREPARATION, self.file)

    @property
    def threshold(self) -> float:
        return _THRESHOLD

    @property
    def character_threshold(self) -> float:
        """The file does not say which tags are characters: they are general tags."""
        return _THRESHOLD

    def load(self, device: str) -> DeepDanbooruTagger:
        """Read the weights, 614 MiB; in half precision on a GPU.

        Raises:
            TrainingError: the file is missing, damaged, or not this model.
        """
        names, weights = _read(self.file)
        with torch.device("meta"):
            network = DeepDanbooruNetwork(width=len(weights["n_Conv_0.weight"]), tags=len(names))
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError as problem:
            raise _not_this_model(self.file) from problem
        network.to(device, half_on_gpu(device)).requires_grad_(False)
        return DeepDanbooruTagger(network, _tag_list(names))


class DeepDanbooruTagger:
    """A loaded network that is asked about pictures."""

    def __init__(self, network: DeepDanbooruNetwork, tags: TagList) -> None:
        self._network, self._tags = network, tags
        self.batch_size = _BATCH_ON_GPU if network.n_Conv_0.weight.is_cuda else 1

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """(512, 512, 3) float32, 0 to 1: shrunk or grown to fit, and the rest filled with the colours of its border."""
        return np.asarray(_fitted(picture), dtype=np.float32) / 255

    @torch.inference_mode()
    def answer(self, prepared: Sequence[np.ndarray]) -> list[TagAnswer]:
        weight = self._network.n_Conv_0.weight
        scores = self._network(send(torch.from_numpy(np.stack(prepared)), weight.device).to(weight))
        return [self._tags.answer(row) for row in scores.float().cpu().numpy()]


def _fitted(picture: Image.Image) -> np.ndarray:
    """A1111's "resize and fill" (mode 2): (512, 512, 3) uint8. Its border rows are stretched, ours repeated."""
    width, height = (max(1, length * SIDE // max(picture.size)) for length in picture.size)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
    left, top = SIDE // 2 - width // 2, SIDE // 2 - height // 2
    return np.pad(pixels, ((top, SIDE - height - top), (left, SIDE - width - left), (0, 0)), mode="edge")


def _read(file: Path) -> tuple[list[str], dict[str, torch.Tensor]]:
    """The list of tags and the weights, which lie in one state dict."""
    if not file.is_file():
        raise TrainingError(f"there is no file {file}. Put DeepDanbooru's model there, or choose another tagger.")
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # torch raises many kinds, all meaning: not readable as plain tensors
        raise _not_this_model(file) from problem
    if not isinstance(content, Mapping) or not _is_this_model(content):
        raise _not_this_model(file)
    return content["tags"], {name: value for name, value in content.items() if name != "tags"}


def _is_this_model(content: Mapping[str, Any]) -> bool:
    names, first = content.get("tags"), content.get("n_Conv_0.weight")
    has_names = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return has_names and isinstance(first, torch.Tensor) and first.ndim == 4


def _not_this_model(file: Path) -> TrainingError:
    return TrainingError(
        f"{file} is damaged, or is not DeepDanbooru's model-resnet_custom_v3.pt. "
        "Download it again, or choose another tagger."
    )


def _tag_list(names: Sequence[str]) -> TagList:
    general = {output: name for output, name in enumerate(names) if not name.startswith("rating:")}
    return TagList(outputs=len(names), general=general, character={})
