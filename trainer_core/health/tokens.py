"""How many tokens a caption has, exactly with CLIP's tokenizer and from below without it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..captions.tags import split_tags
from ..families.tokenizers import CONTEXT

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

WINDOW = CONTEXT - 2
"""Tokens of a caption that CLIP reads at a time."""
_AT_A_TIME = 1000
"""Texts; their tokens are many times larger than they are."""
_UNIT = re.compile(r"[^\W\d_]+|\d|(?:[^\w\s]|_)+")
"""What CLIP's tokenizer never joins: a run of letters, one digit, a run of other signs (Radford et al. 2021)."""


class TokenCounter:
    """Counts tokens. `is_exact` tells whether the counts are, or only lower bounds."""

    def __init__(self, tokenizer: CLIPTokenizer | None) -> None:
        self._tokenizer = tokenizer
        self.is_exact = tokenizer is not None

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without start and end marks."""
        if self._tokenizer is None:
            return [len(_UNIT.findall(text)) for text in texts]
        counts = []
        for start in range(0, len(texts), _AT_A_TIME):
            batch = list(texts[start : start + _AT_A_TIME])
            counts += [len(ids) for ids in self._tokenizer(batch, add_special_tokens=False, verbose=False).input_ids]
        return counts

    def lost_tags(self, caption: str, window: int = WINDOW) -> list[str]:
        """The tags of a caption that do not lie wholly within its first `window` tokens."""
        tags = split_tags(caption)

        def tokens_until(end: int) -> int:
            return self.counts([", ".join(tags[: end + 1])])[0]

        return tags[bisect_right(range(len(tags)), window, key=tokens_until) :]  # more tags never are fewer tokens
