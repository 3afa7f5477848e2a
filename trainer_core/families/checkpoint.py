"""A checkpoint file opened for reading: names and shapes first, tensors one at a time, no code ever run."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import TrainingError


class Checkpoint:
    """The tensors of one .safetensors or .ckpt file.

    Raises:
        TrainingError: missing, cut short, not a checkpoint, or a .ckpt that holds more than tensors.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise TrainingError(f"there is no checkpoint file {path}. Check the name and the folder.")
        self.path = path
        self._tensors: dict[str, Tensor] | None = None
        if path.suffix == ".safetensors":
            self.shapes = _safetensors_shapes(path)
        elif path.suffix in (".ckpt", ".pt", ".bin"):
            self._tensors = _load_ckpt(path)
            self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}
        else:
            raise TrainingError(f"{path.name} is not a checkpoint. Choose a .safetensors or .ckpt file.")

    def under(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors below `prefix`, with the prefix taken off."""
        return {name[len(prefix) :]: shape for name, shape in self.shapes.items() if name.startswith(prefix)}

    def tensors(self, prefix: str, dtype: torch.dtype) -> dict[str, Tensor]:
        """Copies, as `dtype`, of the tensors below `prefix`, with the prefix taken off."""
        names = [name for name in self.shapes if name.startswith(prefix)]
        if self._tensors is not None:
            return {name[len(prefix) :]: self._tensors[name].to(dtype, copy=True) for name in names}
        with safe_open(self.path, framework="pt") as file:
            return {name[len(prefix) :]: file.get_tensor(name).to(dtype, copy=True) for name in names}


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except (SafetensorError, OSError) as problem:
        raise TrainingError(f"{path.name} {_what_is_wrong(path)}. Download or copy it again.") from problem


def _what_is_wrong(path: Path) -> str:
    """Words for an unreadable .safetensors file: its header says how long the file ought to be."""
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, 100_000_000)))
        end = 8 + length + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError):
        return f"is damaged or not a safetensors file ({size:,} bytes)"
    share = math.floor(100 * size / end) if end else 0
    return f"is cut short: {size:,} of {end:,} bytes are there ({share} %)" if size < end else "is damaged"


def _load_ckpt(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # torch raises many kinds, all meaning: not readable as plain tensors
        raise TrainingError(
            f"{path.name} cannot be read safely: it is damaged or holds more than tensors. "
            "Use the .safetensors version of this model."
        ) from problem
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise TrainingError(f"{path.name} holds no model. Choose a full checkpoint.")
    return tensors
