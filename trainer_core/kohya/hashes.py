"""The hashes by which sd-scripts and A1111's extensions know models and LoRAs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

_START, _LENGTH = 0x100000, 0x10000


def lora_hashes(header_size: int, data: bytes) -> dict[str, str]:
    """sshs_model_hash and sshs_legacy_hash of a LoRA's tensor data.

    The first is the SHA-256 of `data`. The second is 8 hex digits of the SHA-256 of 64 KiB at 1 MiB of the file as
    it would be with its ss_ metadata only, so it depends on how long that header would be: `header_size` bytes, padding
    included, the 8 bytes of its length not. Of a file that ends before 1 MiB it is the hash of nothing, e3b0c442.
    """
    start = max(0, _START - 8 - header_size)  # a header beyond 1 MiB, of a huge table of tags, has no legacy hash
    return {
        "sshs_model_hash": hashlib.sha256(data).hexdigest(),
        "sshs_legacy_hash": hashlib.sha256(data[start : start + _LENGTH]).hexdigest()[:8],
    }


def training_keys(metadata: Mapping[str, str]) -> dict[str, str]:
    """The part of the metadata that the legacy hash counts: what is said of the training and never edited."""
    return {name: text for name, text in metadata.items() if name.startswith("ss_")}


def base_model_hash(path: Path) -> str:
    """8 hex digits of the SHA-256 of 64 KiB at 1 MiB of a checkpoint: A1111's old model hash."""
    with open(path, "rb") as file:
        file.seek(_START)
        return hashlib.sha256(file.read(_LENGTH)).hexdigest()[:8]
