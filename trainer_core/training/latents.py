"""Latents of pictures, each in a file of its own; as many in memory as a bound allows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from ..errors import TrainingError
from ..files import write_atomic

MOST_IN_MEMORY = 2 * 2**30
"""Bytes: 16,000 pictures of 512x512, 4,000 of 1024x1024."""
_DAY = 86_400
_KEPT = 60 * _DAY
"""Seconds, after the last run that took a latent."""

_SUFFIX = ".safetensors"

Visit = tuple[int, bool]
"""An image by its index in the dataset, and whether it is mirrored."""


@dataclass(frozen=True, slots=True)
class Latent:
    """A picture as the VAE's distribution, unscaled; each visit draws from it anew."""

    mean_CHW: Tensor
    std_CHW: Tensor

    @property
    def nbytes(self) -> int:
        return self.mean_CHW.nbytes + self.std_CHW.nbytes


class Latents(Mapping[Visit, Latent]):
    """The latent of each visit. Those that memory has no room for are read from their files at every look."""

    def __init__(self, folder: Path, *, most_bytes: int = MOST_IN_MEMORY) -> None:
        self._folder, self._room = folder, most_bytes
        self._keys: dict[Visit, str] = {}
        self._held: dict[str, Latent] = {}

    def find(self, visit: Visit, key: str) -> bool:
        """Take what the folder has by the name `key` for a visit; False where that is nothing, or damaged."""
        latent = self._held.get(key) or self._read(key)
        if latent is None:
            return False
        self._mark_as_used(key)
        self._enter([visit], key, latent)
        return True

    def keep(self, visits: Sequence[Visit], key: str, latent: Latent) -> None:
        """Write what was just made for some visits, which may be copies of one picture."""
        write_atomic(self._path(key), safetensors.torch.save({"mean": latent.mean_CHW, "std": latent.std_CHW}))
        self._enter(visits, key, latent)

    def __getitem__(self, visit: Visit) -> Latent:
        """
        Raises:
            KeyError: there is no such visit.
            TrainingError: its file has gone or broken since.
        """
        key = self._keys[visit]
        latent = self._held.get(key) or self._read(key)
        if latent is None:
            raise TrainingError(
                "an encoded picture has gone from the runs folder, or broke. Start the run again: it is made anew, and "
                "training goes on where it stopped."
            )
        return latent

    def __iter__(self) -> Iterator[Visit]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def _enter(self, visits: Sequence[Visit], key: str, latent: Latent) -> None:
        self._keys.update(dict.fromkeys(visits, key))
        if key not in self._held and latent.nbytes <= self._room:
            self._held[key] = latent
            self._room -= latent.nbytes

    def _read(self, key: str) -> Latent | None:
        try:
            tensors = safetensors.torch.load(self._path(key).read_bytes())
            return Latent(tensors["mean"], tensors["std"])
        except (OSError, SafetensorError, KeyError):
            return None

    def delete_unused(self) -> None:
        """Delete the latents of others that no run has taken for two months; one that goes on later makes them anew."""
        now, own = time.time(), set(map(self._path, self._keys.values()))
        with suppress(OSError):
            for path in self._folder.glob(f"*{_SUFFIX}"):
                if path not in own and now - path.stat().st_mtime > _KEPT:
                    path.unlink()

    def _mark_as_used(self, key: str) -> None:
        path, now = self._path(key), time.time()
        with suppress(OSError):  # a folder that others own: then it counts from when it was made
            if now - path.stat().st_mtime > _DAY:
                os.utime(path, (now, now))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"


def draw_latents(latents: Sequence[Latent], scale: float, generator: torch.Generator) -> Tensor:
    """Sample pictures of one bucket (B, C, H, W), scaled to about unit variance."""
    mean_BCHW = torch.stack([latent.mean_CHW for latent in latents])
    std_BCHW = torch.stack([latent.std_CHW for latent in latents])
    return (mean_BCHW + std_BCHW * torch.randn(mean_BCHW.shape, generator=generator)) * scale
