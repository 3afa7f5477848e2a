"""CLIP tokenizers: where one is found without a network, and prompts as token ids the way ComfyUI makes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import try_to_load_from_cache

from ..errors import TrainingError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

CONTEXT = 77
"""Tokens that CLIP reads at a time: a start mark, 75 of the prompt, an end mark."""
CLIP_VOCABULARY = 49408
"""Entries of the vocabulary of every real SD1.5 and SDXL model."""

_HUB_NAME = "openai/clip-vit-large-patch14"
_FILES = ("vocab.json", "merges.txt")


def find_tokenizer(vocabulary: int, beside: Sequence[Path], host: Sequence[Path] = ()) -> CLIPTokenizer:
    """The first tokenizer whose vocabulary has `vocabulary` entries: beside the model, the host's, the local cache.

    Raises:
        TrainingError: none is found; says where to put one.
    """
    from transformers import CLIPTokenizer  # takes a second, for who asks for nothing of it

    for folder in (*beside, *host, *_comfyui(), *_hub_cache()):
        if all((folder / name).is_file() for name in _FILES):
            tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
            if len(tokenizer) == vocabulary:
                return tokenizer
    raise TrainingError(
        f"no CLIP tokenizer with {vocabulary:,} entries was found. Put vocab.json, merges.txt and "
        "tokenizer_config.json (ComfyUI has them in comfy/sd1_tokenizer) into "
        f"{beside[0] if beside else 'a folder and name it'}, or set COMFYUI_DIR."
    )


def _comfyui() -> list[Path]:
    folder = os.environ.get("COMFYUI_DIR")
    return [Path(folder).expanduser() / "comfy" / "sd1_tokenizer"] if folder else []


def _hub_cache() -> list[Path]:
    """The tokenizer's folder in Hugging Face's local cache, if another program left it there. No network."""
    found = try_to_load_from_cache(_HUB_NAME, _FILES[0])
    return [Path(found).parent] if isinstance(found, str) else []
