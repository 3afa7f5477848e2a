"""The resumable state of a run: adapter weights, optimizer and averages, exact, in one .safetensors and one manifest.

Everything else that a step needs (picture order, noise, rates) follows from the plan and the step number. The
manifest is written last and carries the SHA-256 of the other file, so a state cut short or damaged is noticed; the
state before it is kept until then. Tensors keep their number format and numbers their last bit; nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ..errors import TrainingError
from ..files import read_json, write_atomic, write_json
from ..lora.adapters import Adapters
from .optimizer import trained_parameters

_KEEP = 2
_CPU = torch.device("cpu")
_OWN = ("fused", "foreach")
"""How an optimizer computes is its own: a state of another device, or of an older version, has it otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    """One state as it lies on disk: `values` is what is not tensors, with the names of those in their places."""

    step: int
    values: dict[str, Any]
    tensors: dict[str, Tensor]


def save_state(
    folder: Path,
    step: int,
    adapters: Sequence[Adapters],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    extra: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the state after `step` whole steps, and drop all but the newest two.

    `extra` are further tensors that a run learns, such as a moving average of its weights.
    """
    tensors = {f"lora.{name}": tensor for part in adapters for name, tensor in part.tensors().items()}
    tensors |= {f"extra.{name}": _copy(tensor) for name, tensor in (extra or {}).items()}
    values = {
        "parameters": [
            _pack(dict(optimizer.state.get(parameter, {})), f"optimizer.{index}", tensors)
            for index, parameter in enumerate(trained_parameters(optimizer))
        ],
        "groups": [
            _pack({key: value for key, value in group.items() if key != "params"}, f"group.{index}", tensors)
            for index, group in enumerate(optimizer.param_groups)
        ],
        "scaler": scaler.state_dict(),
    }
    data = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, {"values": json.dumps(values)}
    )
    write_atomic(folder / f"step-{step:08d}.safetensors", data)
    write_json(folder / f"step-{step:08d}.json", {"step": step, "sha256": hashlib.sha256(data).hexdigest()})
    for old in sorted(folder.glob("step-*.json"))[:-_KEEP]:
        old.with_suffix(".safetensors").unlink(missing_ok=True)
        old.unlink()


def load_state(
    folder: Path,
    adapters: Sequence[Adapters],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    extra: Mapping[str, Tensor] | None = None,
) -> int:
    """Restore the newest whole state, `extra` in place; returns the steps it has seen, 0 where there is none.

    Raises:
        TrainingError: states are there, but every one is damaged or of another kind of run. Training never starts
            over in silence.
    """
    manifests = sorted(folder.glob("step-*.json"), reverse=True)
    state = next(filter(None, map(_read, manifests)), None)
    if state is None:
        if manifests:
            raise TrainingError(f"the saved state in {folder} is damaged. Delete that folder to start this run anew.")
        return 0
    for part in adapters:
        part.load(_under("lora", state.tensors))
    _restore_extra(extra or {}, _under("extra", state.tensors), folder)
    _restore_optimizer(optimizer, state, folder)
    if state.values["scaler"]:
        scaler.load_state_dict(state.values["scaler"])
    return state.step


def _restore_optimizer(optimizer: torch.optim.Optimizer, state: _State, folder: Path) -> None:
    """Fill an optimizer. Its own load_state_dict would give every tensor the number format of its parameter."""
    parameters, saved = trained_parameters(optimizer), state.values["parameters"]
    if len(parameters) != len(saved) or len(optimizer.param_groups) != len(state.values["groups"]):
        raise _not_of_this_run(folder)
    for group, values in zip(optimizer.param_groups, state.values["groups"], strict=True):
        known = _unpack(values, state.tensors, group["params"][0].device)
        group.update({name: value for name, value in known.items() if name not in _OWN})
    in_one_pass = {parameter: group.get("fused") for group in optimizer.param_groups for parameter in group["params"]}
    for parameter, values in zip(parameters, saved, strict=True):
        # torch counts its steps on the CPU, wherever the parameter is, unless all are updated in one pass
        counts_on = parameter.device if in_one_pass[parameter] else _CPU
        optimizer.state[parameter] = {
            name: _unpack(entry, state.tensors, counts_on if name == "step" else parameter.device)
            for name, entry in values["dict"].items()
        }


@torch.no_grad()
def _restore_extra(extra: Mapping[str, Tensor], saved: Mapping[str, Tensor], folder: Path) -> None:
    if {n: t.shape for n, t in extra.items()} != {n: t.shape for n, t in saved.items()}:
        raise _not_of_this_run(folder)
    for name, tensor in extra.items():
        tensor.copy_(saved[name])


def _not_of_this_run(folder: Path) -> TrainingError:
    return TrainingError(f"the saved state in {folder} is of another kind of run. Delete that folder to start anew.")


def _read(manifest_path: Path) -> _State | None:
    """The state of a manifest, or None where either file is damaged."""
    try:
        manifest = read_json(manifest_path)
        data = manifest_path.with_suffix(".safetensors").read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest["sha256"]:
            return None
        (length,) = struct.unpack("<Q", data[:8])
        values = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["values"])
        return _State(step=manifest["step"], values=values, tensors=safetensors.torch.load(data))
    except (TrainingError, OSError, KeyError, TypeError):
        return None


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`value` for JSON. Tensors in it go to `tensors` under `name` and leave their names; tuples stay tuples.

    Raises:
        TrainingError: it holds something that is neither tensor, number, text nor a collection of them.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Tensor():
            tensors[name] = _copy(value)
            return {"tensor": name}
        case dict():
            return {"dict": {key: _pack(entry, f"{name}.{key}", tensors) for key, entry in value.items()}}
        case list() | tuple():
            return {type(value).__name__: [_pack(entry, f"{name}.{i}", tensors) for i, entry in enumerate(value)]}
    raise TrainingError(f"the optimizer keeps a {type(value).__name__}, which cannot be saved. Choose AdamW.")


def _unpack(value: Any, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    """What `_pack` made of a value, undone; its tensors on `device`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "tensor":
            return tensors[content].to(device)
        case "dict":
            return {key: _unpack(entry, tensors, device) for key, entry in content.items()}
        case "tuple":
            return tuple(_unpack(entry, tensors, device) for entry in content)
    return [_unpack(entry, tensors, device) for entry in content]


def _copy(tensor: Tensor) -> Tensor:
    """On the CPU, sharing memory with nothing: safetensors refuses tensors that do."""
    return tensor.detach().to("cpu", copy=True)
