"""Prompts as text encoders read them: in chunks of 75 tokens, each token with a weight, the way ComfyUI makes both."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from ..captions.tags import unescaped
from .sending import send
from .tokenizers import CONTEXT

# Shape suffixes: N chunks of all prompts, L tokens of a chunk, D text width, P pooled width.

CHUNK = CONTEXT - 2
"""Tokens of a prompt that CLIP reads at a time."""
_KEPT_WHOLE = 8
"""Tokens. A part of one weight that is shorter is never cut: it goes to the next chunk whole."""
_BRACKET_WEIGHT = 1.1
_DEEPEST = 50
"""Brackets within brackets. Deeper ones are text: 1.1 ** 50 is more than any prompt means."""

_BRACKET = re.compile(r"(?<!\\)[()]")
_BRACKETED = re.compile(r"\(.*(?<!\\)\)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptReading:
    """How much of a prompt is read, and whether its brackets are weights."""

    longest: int | None
    """Tokens that are read, a multiple of 75; None: all of them."""
    weights: bool
    """`(cat:1.2)` weighs 1.2, `(cat)` 1.1 times what is around it, and `\\(` is a bracket; or all of it is text."""


AS_CAPTION = PromptReading(longest=CHUNK, weights=False)
"""The first 75 tokens, every sign as it stands."""
AS_PROMPT = PromptReading(longest=None, weights=True)
"""As ComfyUI's CLIP Text Encode."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkedPrompts:
    """Prompts as rows for one pass of a text encoder: the chunks of each in turn, and, where any token has a weight,
    an empty chunk at the end to weigh against."""

    ids_NL: Tensor
    """(N, 77): start, at most 75 tokens of the prompt, end, padding."""
    weights_NL: Tensor
    """(N, 77): 1 where nothing is weighed."""
    counts: tuple[int, ...]
    """Chunks of each prompt, at least 1."""

    def states(self, states_NLD: Tensor) -> list[Tensor]:
        """The encoder's states of each prompt, weighed, its chunks in a row: (1, chunks * 77, D)."""
        groups = self._weighed(states_NLD)[: sum(self.counts)].split(self.counts)
        return [chunks_nLD.reshape(1, -1, chunks_nLD.shape[-1]) for chunks_nLD in groups]

    def pooled(self, pooled_NP: Tensor) -> list[Tensor]:
        """The pooled text (1, P) of each prompt: that of its first chunk, without weights."""
        return [chunks_nP[:1] for chunks_nP in pooled_NP[: sum(self.counts)].split(self.counts)]

    def _weighed(self, states_NLD: Tensor) -> Tensor:
        """A weight moves a token's state away from what an empty prompt has in its place, or towards it."""
        if len(self.ids_NL) == sum(self.counts):
            return states_NLD
        weights_NL1 = send(self.weights_NL[..., None], states_NLD.device).to(states_NLD.dtype)
        empty_LD = states_NLD[-1]
        weighed_NLD = (states_NLD - empty_LD) * weights_NL1 + empty_LD
        return torch.where(weights_NL1 == 1, states_NLD, weighed_NLD)


def chunk_prompts(
    tokenizer: CLIPTokenizer, prompts: Sequence[str], reading: PromptReading, *, padding: int | None
) -> ChunkedPrompts:
    """Prompts as rows of token ids; `padding` fills them up, the end mark where it is None.

    Padded by hand: setting the tokenizer's own pad token to "!" (CLIP-G's id 0) would change every "!" in a prompt.
    """
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    padding = end if padding is None else padding
    cut = [cut_into_chunks(tokenizer, prompt, reading) for prompt in prompts]
    rows = [chunk for chunks in cut for chunk in chunks]
    if any(weight != 1 for chunk in rows for _, weight in chunk):
        rows.append([])
    ids = [[start, *(token for token, _ in row), end] + [padding] * (CHUNK - len(row)) for row in rows]
    weights = [[1.0, *(weight for _, weight in row)] + [1.0] * (CONTEXT - 1 - len(row)) for row in rows]
    return ChunkedPrompts(
        ids_NL=torch.tensor(ids, dtype=torch.long),
        weights_NL=torch.tensor(weights),
        counts=tuple(len(chunks) for chunks in cut),
    )


def cut_into_chunks(tokenizer: CLIPTokenizer, prompt: str, reading: PromptReading) -> list[list[tuple[int, float]]]:
    """A prompt as chunks of at most 75 (token, weight), at least one, without start, end and padding."""
    chunks: list[list[tuple[int, float]]] = [[]]
    for text, weight in weighted_parts(prompt) if reading.weights else [(prompt, 1.0)]:
        ids = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
        tokens = [(token, weight) for token in ids]
        is_cut = len(tokens) >= _KEPT_WHOLE
        while len(tokens) > (room := CHUNK - len(chunks[-1])):
            fitting = room if is_cut else 0
            chunks[-1] += tokens[:fitting]
            tokens = tokens[fitting:]
            chunks.append([])
        chunks[-1] += tokens
    return chunks if reading.longest is None else chunks[: reading.longest // CHUNK]


def weighted_parts(prompt: str) -> list[tuple[str, float]]:
    """A prompt as (text, weight) in turn, brackets taken off.

    `(text)` weighs 1.1 times what is around it; `(text:1.2)` weighs 1.2, whatever is around it. Brackets without a
    partner are text.
    """
    return [(unescaped(text), weight) for text, weight in _parts(prompt, 1.0, _DEEPEST)]


def open_brackets(text: str) -> int:
    """How many brackets of weights a text opens more than it closes."""
    return sum(1 if bracket[0] == "(" else -1 for bracket in _BRACKET.finditer(text))


def _parts(text: str, weight: float, levels: int) -> list[tuple[str, float]]:
    parts = []
    for piece in _outer_pieces(text):
        if levels and _BRACKETED.fullmatch(piece):
            parts += _parts(*_inside(piece[1:-1], weight), levels - 1)
        else:
            parts.append((piece, weight))
    return parts


def _outer_pieces(text: str) -> list[str]:
    """A text cut before and after its outermost pairs of brackets."""
    cuts, depth = [0], 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] == "(" else -1
        if bracket[0] == "(" and depth == 1:
            cuts.append(bracket.start())
        if bracket[0] == ")" and depth == 0:
            cuts.append(bracket.end())
    return [text[start:end] for start, end in pairwise([*cuts, len(text)]) if end > start]


def _inside(text: str, weight: float) -> tuple[str, float]:
    """What stands in brackets without its weight, and the weight, where `weight` is around it."""
    before, _, number = text.rpartition(":")
    try:
        own = float(number)
    except ValueError:
        own = math.nan
    return (before, own) if before and math.isfinite(own) else (text, weight * _BRACKET_WEIGHT)
