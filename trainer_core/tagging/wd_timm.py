"""SmilingWolf's WD taggers as safetensors files (https://huggingface.co/SmilingWolf), run by PyTorch through timm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from ..devices import half_on_gpu
from ..errors import TrainingError
from ..families.checkpoint import Checkpoint
from ..families.sending import send
from ..files import read_json
from .model_files import identity_of
from .tag_list import TagList
from .tagger import TagAnswer
from .wd import CHARACTER_THRESHOLD, default_threshold, white_square
from .wd_tags import check_outputs, read_wd_tags

_PREPARATION = "wd timm 1"
"""Raise it with every change of what the model sees: kept answers are then asked for anew."""
_BATCH_ON_GPU = 8


@dataclass(frozen=True, slots=True)
class WdTimmModel:
    """A WD tagger in a folder with model.safetensors, config.json and selected_tags.csv."""

    name: str
    folder: Path

    @property
    def identity(self) -> str:
        files = ("model.safetensors", "config.json", "selected_tags.csv")
        return identity_of(_PREPARATION, *(self.folder / file for file in files))

    @property
    def threshold(self) -> float:
        return default_threshold(self.name)

    @property
    def character_threshold(self) -> float:
        return CHARACTER_THRESHOLD

    def load(self, device: str) -> WdTimmTagger:
        """Build the network that config.json names and read its weights; in half precision on a GPU.

        Raises:
            TrainingError: timm is missing or cannot be imported, a file is missing or damaged, or they do not belong
                together.
        """
        config = _Config.read(self.folder / "config.json")
        tags = read_wd_tags(self.folder / "selected_tags.csv")
        check_outputs(tags, config.outputs, self.folder / "selected_tags.csv")
        network = _network(self, config)
        weights = self.folder / "model.safetensors"
        try:
            network.load_state_dict(Checkpoint(weights).tensors("", torch.float32))
        except RuntimeError as problem:
            raise TrainingError(
                f"{weights} is not the {config.architecture} that config.json describes. "
                "Download both again from the same place."
            ) from problem
        network.to(device, half_on_gpu(device)).eval().requires_grad_(False)
        return WdTimmTagger(network, tags, config)


class WdTimmTagger:
    """A loaded network that is asked about pictures."""

    def __init__(self, network: nn.Module, tags: TagList, config: _Config) -> None:
        self._network, self._tags, self._config = network, tags, config
        self._weight = next(network.parameters())
        self.batch_size = _BATCH_ON_GPU if self._weight.is_cuda else 1

    def prepare(self, picture: Image.Image) -> np.ndarray:
        """(3, side, side) float32, normalised, blue first."""
        pixels = np.asarray(white_square(picture, self._config.side), dtype=np.float32) / 255
        normalised = (pixels - np.float32(self._config.mean)) / np.float32(self._config.std)
        return normalised[..., ::-1].transpose(2, 0, 1)

    @torch.inference_mode()
    def answer(self, prepared: Sequence[np.ndarray]) -> list[TagAnswer]:
        """The network ends in logits, unlike the ONNX file of the same name."""
        logits = self._network(send(torch.from_numpy(np.stack(prepared)), self._weight.device).to(self._weight))
        return [self._tags.answer(row) for row in logits.float().sigmoid().cpu().numpy()]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Config:
    """What config.json says."""

    architecture: str
    arguments: Mapping[str, Any]
    """Of timm's network, such as `img_size`."""
    outputs: int
    side: int
    """Pixels."""
    mean: tuple[float, ...]
    """Of red, green and blue, 0 to 1."""
    std: tuple[float, ...]

    @classmethod
    def read(cls, file: Path) -> _Config:
        value = read_json(file)
        try:
            prepared = value["pretrained_cfg"]
            channels, height, width = (int(length) for length in prepared["input_size"])
            config = cls(
                architecture=str(value["architecture"]),
                arguments=dict(value.get("model_args", {})),
                outputs=int(value["num_classes"]),
                side=height,
                mean=tuple(float(channel) for channel in prepared["mean"]),
                std=tuple(float(channel) for channel in prepared["std"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise _not_a_config(file) from problem
        if (channels, width, len(config.mean), len(config.std)) != (3, height, 3, 3):
            raise _not_a_config(file)
        return config


def _network(files: WdTimmModel, config: _Config) -> nn.Module:
    try:
        import timm
    except (ImportError, RuntimeError) as problem:  # RuntimeError: a torchvision that was built for another torch
        reason = str(problem).splitlines()[0]
        raise TrainingError(
            f"the tagger {files.name} needs the package timm ({reason}). Install it (pip install timm), "
            "or choose deepdanbooru or BLIP, which need nothing more."
        ) from problem
    if not timm.is_model(config.architecture):  # nor is a name that timm would look up on the Hub
        raise TrainingError(
            f"{files.folder / 'config.json'} names the network {config.architecture!r}, which timm {timm.__version__} "
            "does not have. Update timm (pip install --upgrade timm), or choose another tagger."
        )
    try:
        # Named here, these cannot be among the file's arguments: they would download, or unpickle another file.
        return timm.create_model(
            config.architecture, pretrained=False, pretrained_cfg=None, pretrained_cfg_overlay=None,
            checkpoint_path=None, cache_dir=None, num_classes=config.outputs, **config.arguments,
        )  # fmt: skip
    except (TypeError, ValueError, RuntimeError, AssertionError, KeyError, AttributeError) as problem:
        raise _not_a_config(files.folder / "config.json") from problem


def _not_a_config(file: Path) -> TrainingError:
    return TrainingError(f"{file} is not a WD tagger's config.json. Download it again, or choose another tagger.")
