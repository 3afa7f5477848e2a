"""The LoRAs that a run has kept so far, told from their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..lora.file import read_header
from ..training.best import NONE_IS_BEST, best_step

LAST, BEST = 0, -1
"""What stands for an epoch beside its number."""
_REMEMBERED = 4096
"""LoRAs whose headers need not be read again, which takes milliseconds each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptLora:
    """One of them."""

    epoch: int
    """1-based; of one within an epoch, that epoch."""
    step: int
    path: Path
    megabytes: float
    is_best: bool = False
    """Whether its loss on held-out pictures is the lowest; none is where nothing is held out."""

    def to_json(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "step": self.step,
            "file": self.path.name,
            "megabytes": self.megabytes,
            "is_best": self.is_best,
        }


def kept_loras(run_folder: Path) -> list[KeptLora]:
    """By their steps."""
    found = [kept for path in (run_folder / "epochs").glob("*.safetensors") if (kept := _read(path))]
    found.sort(key=lambda kept: kept.step)
    best = best_step(run_folder, (kept.step for kept in found))
    return [replace(kept, is_best=kept.step == best) for kept in found]


def choose_kept(run_folder: Path, epoch: float, *, step: int | None = None) -> KeptLora:
    """The kept LoRA of an epoch; `LAST` and `BEST` name one too.

    Args:
        step: of several of that epoch, the one of this step; the last where none is.

    Raises:
        TrainingError: there is none; names those that there are.
    """
    kept = kept_loras(run_folder)
    if not kept:
        raise TrainingError("this run has kept no LoRA yet. Save one now, or wait for its next save.")
    if epoch == LAST:
        return kept[-1]
    found = [one for one in kept if (one.is_best if epoch == BEST else one.epoch == epoch)]
    if not found:
        raise TrainingError(NONE_IS_BEST if epoch == BEST else _not_kept(epoch, kept))
    of_step = [one for one in found if one.step == step]
    return (of_step or found)[-1]


def _not_kept(epoch: float, kept: Sequence[KeptLora]) -> str:
    numbers = ", ".join(dict.fromkeys(str(one.epoch) for one in kept))
    return f"epoch {epoch:g} was not kept. Choose one of {numbers}, 0 for the last or -1 for the best."


def _read(path: Path) -> KeptLora | None:
    """None where it is no LoRA of a run, or was dropped for a newer one just now."""
    try:
        found = path.stat()
        return _as_of(path, found.st_size, found.st_mtime_ns)
    except (OSError, TrainingError, KeyError, ValueError):
        return None


@lru_cache(maxsize=_REMEMBERED)
def _as_of(path: Path, size: int, changed_ns: int) -> KeptLora:
    metadata, _ = read_header(path)
    megabytes = round(size / 2**20, 1)
    return KeptLora(epoch=int(metadata["ss_epoch"]), step=int(metadata["ss_steps"]), path=path, megabytes=megabytes)
