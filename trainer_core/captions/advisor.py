"""Tags that stand on nearly every picture, and whether to keep them in the captions.

A LoRA puts into its trigger word what the captions do not name. What always belongs to the subject is therefore taken
out of the captions; what should change with the prompt stays in them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Literal

from ..dataset.types import Dataset
from .kinds import Kind, kind_of
from .tags import plain_tag, split_tags

_COMMON = 0.9
_LEAST_PICTURES = 5
"""In fewer, tags on nearly all of them are chance."""
_REASONS: dict[Kind, tuple[Literal["absorb", "keep"], str]] = {
    "hair": ("absorb", "A fixed trait: without the tag, the trigger word means this hair"),
    "eyes": ("absorb", "A fixed trait: without the tag, the trigger word means these eyes"),
    "body": ("absorb", "A fixed trait: without the tag, the trigger word means this body"),
    "clothes": ("keep", "Keep it, and prompts can change the clothes; remove it if the subject never wears others"),
    "pose": ("keep", "Every picture shows it: add pictures without it, or the subject will hardly do anything else"),
    "background": ("keep", "Every picture shows it: add other places, or this one comes with the subject"),
    "other": ("keep", "Keep what prompts should be able to change; remove what is always so"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """About one tag."""

    tag: str
    """In its commonest spelling."""
    kind: Kind
    share: float
    """Of the pictures that have a caption, 0 to 1."""
    advice: Literal["absorb", "keep"]
    """Absorb: take it out of the captions."""
    reason: str
    """One line without a full stop."""

    @property
    def line(self) -> str:
        what = "remove it" if self.advice == "absorb" else "keep it"
        return f"{self.tag} ({self.share:.0%} of the pictures): {what}. {self.reason}."


def advise(dataset: Dataset) -> list[Advice]:
    """About the tags on at least 90 % of the training pictures, the commonest first; trigger words left out.

    None if fewer than five pictures have captions.
    """
    described = [image for image in dataset.training_images if image.caption]
    if len(described) < _LEAST_PICTURES:
        return []
    triggers = {plain_tag(word) for word in dataset.trigger_words}
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for image in described:
        tags = {plain_tag(tag): tag for caption in image.captions for tag in split_tags(caption)}
        for plain, tag in tags.items():
            spellings[plain][tag] += 1
    shares = {plain: spelt.total() / len(described) for plain, spelt in spellings.items() if plain not in triggers}
    common = sorted((plain for plain in shares if shares[plain] >= _COMMON), key=lambda plain: -shares[plain])
    return [_advice(spellings[plain].most_common(1)[0][0], shares[plain]) for plain in common]


def _advice(tag: str, share: float) -> Advice:
    kind = kind_of(tag)
    advice, reason = _REASONS[kind]
    return Advice(tag=tag, kind=kind, share=share, advice=advice, reason=reason)
