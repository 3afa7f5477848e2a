"""A CLIP tokenizer for the demo base: CLIP's byte-pair scheme with merges for the drawn world's words only.

CLIP's own vocabulary has 49,408 entries, which would make an embedding table larger than the rest of the demo
base. This one has about 600. Any text still tokenises, because every byte has an entry; words outside the drawn
world just take a token per letter.
"""

from __future__ import annotations

import json
from pathlib import Path

from .world import BACKGROUNDS, COLOURS, MASCOT_TRIGGER, OBJECTS

START, END = "<|startoftext|>", "<|endoftext|>"
_END_OF_WORD = "</w>"


_WORDS = (*OBJECTS, *COLOURS, *BACKGROUNDS, "background", MASCOT_TRIGGER)


def vocabulary_size() -> int:
    """Entries of the demo tokenizer: rows of the demo base's embedding table."""
    return len(_symbols(_merges(_WORDS)))


def write_tokenizer(folder: Path) -> int:
    """Write vocab.json, merges.txt and tokenizer_config.json into `folder`; returns the vocabulary size."""
    merges = _merges(_WORDS)
    symbols = _symbols(merges)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
        "model_max_length": 77,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return len(symbols)


def _merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Merges that join each word from left to right: b+a, ba+l, bal+l</w>."""
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        letters = [*word[:-1], word[-1] + _END_OF_WORD]
        joined = letters[0]
        for letter in letters[1:]:
            merges[(joined, letter)] = None
            joined += letter
    return list(merges)


def _symbols(merges: list[tuple[str, str]]) -> list[str]:
    """The vocabulary in CLIP's order: bytes, bytes that end a word, merges, the two marks."""
    byte_symbols = _byte_symbols()
    return byte_symbols + [s + _END_OF_WORD for s in byte_symbols] + ["".join(m) for m in merges] + [START, END]


def _byte_symbols() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes, in CLIP's order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    stand_ins = [chr(256 + i) for i in range(256 - len(printable))]
    return [chr(b) for b in printable] + stand_ins
