"""LoRA files: .safetensors in kohya's format. Writing, reading, inspecting, and publishing under a free name.

One file may hold modules of several kinds: LoRA, DoRA, LoHa, LoKr, OFT.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import TrainingError
from ..files import file_name, numbered, write_atomic
from ..kohya.hashes import lora_hashes, training_keys
from .module import LoraModule, read_module
from .networks import rank_of

PLAN_KEY = "lora_atelier.plan"
"""Metadata key of the training plan, as JSON."""
THUMBNAIL_KEY = "modelspec.thumbnail"
"""Metadata key of a small picture, as a data URL."""


def lora_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: torch.dtype) -> bytes:
    """A whole LoRA file. The same tensors and metadata give the same bytes.

    Written as `dtype`, but for what it would spoil: a dora_scale multiplies the whole weight and not only its change,
    and an alpha that it cannot hold is the scale of a whole module. safetensors writes metadata in the random order
    of a hash table, so the header is written again, sorted.
    """
    cast = {name: _cast(name, tensor, dtype).contiguous() for name, tensor in sorted(tensors.items())}
    if unfinite := [name for name, tensor in cast.items() if not torch.isfinite(tensor).all()]:
        raise TrainingError(
            f"the LoRA holds values that are not finite in {dtype} ({unfinite[0]}). "
            "Lower the learning rate, or save as fp32."
        )
    plain = safetensors.torch.save(cast)
    (length,) = struct.unpack("<Q", plain[:8])
    data = plain[8 + length :]
    tensors_header = json.loads(plain[8 : 8 + length])
    counted = _header({**tensors_header, "__metadata__": training_keys(metadata)})
    everything = dict(sorted({**metadata, **lora_hashes(len(counted), data)}.items()))
    header = _header(dict(sorted({**tensors_header, "__metadata__": everything}.items())))
    return struct.pack("<Q", len(header)) + header + data


def _header(entries: Mapping[str, Any]) -> bytes:
    """A safetensors header, padded so that tensors start on a multiple of 8 bytes."""
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    return text + b" " * (-len(text) % 8)


def stored_format(name: str, dtype: torch.dtype) -> torch.dtype:
    """The format in which a tensor is written where the LoRA is saved as `dtype`."""
    return torch.float32 if name.endswith("dora_scale") else dtype


def _cast(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    cast = tensor.to(stored_format(name, dtype))
    return tensor if name.endswith(".alpha") and not torch.equal(cast.to(tensor.dtype), tensor) else cast


@dataclass(frozen=True, slots=True)
class LoraFile:
    """A LoRA read from disk."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    parts: tuple[LoraModule, ...]
    """The same tensors, module by module, sorted by name."""

    @property
    def modules(self) -> list[str]:
        return [part.name for part in self.parts]

    @property
    def kinds(self) -> list[str]:
        """ "lora", "dora", "loha", "lokr", "oft": those that occur."""
        return sorted({part.kind for part in self.parts})

    def rank(self) -> int:
        """The largest rank of its modules; of OFT the largest block."""
        return max(rank_of(part) for part in self.parts)

    def alpha(self) -> float:
        """The largest alpha of the modules that have this rank. It is the rank, and so the scale 1, where a module
        has none, which is how loaders read it, and in OFT, whose alpha is no scale."""
        rank = self.rank()
        found = [part for part in self.parts if rank_of(part) == rank]
        return max(float(rank) if part.alpha is None or part.kind == "oft" else part.alpha for part in found)


def read_lora(path: Path) -> LoraFile:
    """Read a LoRA in kohya's format, of any kind that is trained here.

    Raises:
        TrainingError: missing, damaged, not in kohya's format, or with modules of another kind.
    """
    with _opened(path) as file:
        # copies, since what is mapped from a file dies with the process when the file is overwritten
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        metadata = dict(file.metadata() or {})
    return LoraFile(tensors, metadata, _modules(path, tensors))


def read_header(path: Path) -> tuple[dict[str, str], list[str]]:
    """A LoRA's metadata and the names of its tensors, without reading them.

    Raises:
        TrainingError: missing or damaged.
    """
    with _opened(path) as file:
        return dict(file.metadata() or {}), list(file.keys())


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as problem:
        raise TrainingError(
            f"{path.name} cannot be read as a LoRA: {problem}. Choose a .safetensors LoRA."
        ) from problem


def _modules(path: Path, tensors: Mapping[str, Tensor]) -> tuple[LoraModule, ...]:
    grouped: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in sorted(tensors.items()):
        name, _, suffix = key.partition(".")
        grouped[name][suffix] = tensor
    found = {name: read_module(name, own) for name, own in grouped.items()}
    unknown = [name for name, part in found.items() if part is None]
    if len(unknown) == len(found):
        raise TrainingError(
            f"{path.name} is not a LoRA in kohya's format. "
            "Choose one with lora_down and lora_up, or a LoHa, LoKr or OFT."
        )
    if unknown:
        raise TrainingError(
            f"{path.name} holds {len(unknown)} modules of a kind that is not known, such as {unknown[0]} with "
            f"{', '.join(grouped[unknown[0]])}. Choose a LoRA, DoRA, LoHa, LoKr or OFT in kohya's format."
        )
    return tuple(part for part in found.values() if part)


def inspect_lora(path: Path) -> dict[str, Any]:
    """What a LoRA file says of itself: size, kind, rank, alpha, targets, format, metadata and the plan, JSON-able."""
    lora = read_lora(path)
    parts = {
        "UNet": "lora_unet_",
        "text encoder": "lora_te_",
        "text encoder 1": "lora_te1_",
        "text encoder 2": "lora_te2_",
    }
    counts = {part: sum(name.startswith(prefix) for name in lora.modules) for part, prefix in parts.items()}
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "kind": " and ".join(lora.kinds),
        "rank": lora.rank(),
        "alpha": lora.alpha(),
        "scale": lora.alpha() / lora.rank(),
        "format": sorted({str(tensor.dtype).removeprefix("torch.") for tensor in lora.tensors.values()}),
        "modules": {part: count for part, count in counts.items() if count},
        "parameters": sum(tensor.numel() for name, tensor in lora.tensors.items() if not name.endswith(".alpha")),
        "plan": _json_or_none(lora.metadata.get(PLAN_KEY)),
        "metadata": {name: text for name, text in sorted(lora.metadata.items()) if name != PLAN_KEY},
    }


def clip_skip_of(path: Path) -> int:
    """The layer of CLIP, counted from the end, that a LoRA was trained on, as far as its file tells; else 1."""
    metadata, _ = read_header(path)
    plan = _json_or_none(metadata.get(PLAN_KEY))
    text = plan.get("text") if isinstance(plan, dict) else None
    told = str(text.get("clip_skip") if isinstance(text, dict) else metadata.get("ss_clip_skip"))
    return max(1, int(told)) if told.isdecimal() else 1


def _json_or_none(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def publish(source: Path, folder: Path, name: str) -> Path:
    """Copy a LoRA into `folder` under the next free number: name.safetensors, name_2, name_3, …

    A name that exists is never overwritten, because loaders keep a LoRA by its path; where one of the copies has the
    same bytes already, it is the answer.

    Raises:
        TrainingError: the LoRA is gone.
    """
    stem = file_name(name.removesuffix(".safetensors"))
    taken = numbered(folder, stem, ".safetensors")
    try:
        data = source.read_bytes()
    except OSError as problem:
        raise TrainingError(
            f"the LoRA {source.name} is no longer in its run's folder. Put it back there, or delete the run and train "
            "it again."
        ) from problem
    for _, path in taken:
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return path
    target = folder / (f"{stem}_{taken[0][0] + 1}.safetensors" if taken else f"{stem}.safetensors")
    write_atomic(target, data)
    return target
