"""The resumable state of a run: adapter weights and optimizer, exact, in one .safetensors and one manifest.

Everything else that a step needs (picture order, noise, rates) follows from the plan and the step number. The
manifest is written last and carries the tensors' SHA-256, so a state cut short or damaged is noticed; the state
before it is kept until then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ..errors import TrainingError
from ..files import read_json, write_atomic, write_json
from ..lora.adapters import Adapters

_KEEP = 2


def save_state(
    folder: Path,
    step: int,
    adapters: Sequence[Adapters],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> None:
    """Write the state after `step` steps, and drop all but the newest two."""
    tensors, numbers = _flatten(optimizer.state_dict()["state"])
    for part in adapters:
        tensors |= {f"lora.{name}": tensor for name, tensor in part.tensors().items()}
    data = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    write_atomic(folder / f"step-{step:08d}.safetensors", data)
    manifest = {
        "step": step,
        "sha256": hashlib.sha256(data).hexdigest(),
        "optimizer_numbers": numbers,
        "scaler": scaler.state_dict(),
    }
    write_json(folder / f"step-{step:08d}.json", manifest)
    for old in sorted(folder.glob("step-*.json"))[:-_KEEP]:
        old.with_suffix(".safetensors").unlink(missing_ok=True)
        old.unlink()


def load_state(
    folder: Path, adapters: Sequence[Adapters], optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> int:
    """Restore the newest whole state; returns the number of steps it has seen, 0 where there is none.

    Raises:
        TrainingError: states are there, but every one is damaged. Training never starts over in silence.
    """
    manifests = sorted(folder.glob("step-*.json"), reverse=True)
    for path in manifests:
        found = _read(path)
        if found is not None:
            manifest, tensors = found
            lora = {n.removeprefix("lora."): t for n, t in tensors.items() if n.startswith("lora.")}
            for part in adapters:
                part.load(lora)
            state = _unflatten(tensors, manifest["optimizer_numbers"])
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
            if manifest["scaler"]:
                scaler.load_state_dict(manifest["scaler"])
            return manifest["step"]
    if manifests:
        raise TrainingError(f"the saved state in {folder} is damaged. Delete that folder to start this run anew.")
    return 0


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """A manifest with its tensors, or None where either is damaged."""
    try:
        manifest = read_json(path)
        data = path.with_suffix(".safetensors").read_bytes()
        is_whole = hashlib.sha256(data).hexdigest() == manifest["sha256"]
    except (TrainingError, OSError, KeyError, TypeError):
        return None
    return (manifest, safetensors.torch.load(data)) if is_whole else None


def _flatten(state: dict[int, dict[str, Any]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as flat tensors and flat numbers: "<parameter>.<name>"."""
    tensors, numbers = {}, {}
    for index, entries in state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value.detach().cpu()
            else:
                numbers[f"{index}.{name}"] = value
    return tensors, numbers


def _unflatten(tensors: dict[str, Tensor], numbers: dict[str, Any]) -> dict[int, dict[str, Any]]:
    flat = {
        name.removeprefix("optimizer."): t for name, t in tensors.items() if name.startswith("optimizer.")
    } | numbers
    state: dict[int, dict[str, Any]] = {}
    for key, value in flat.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return state
