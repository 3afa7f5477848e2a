"""What captions lack: words of their own, room in the text encoder, letters that it knows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames, some_of
from .findings import Finding, about
from .tokens import WINDOW, TokenCounter

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

_PROMPT_SYNTAX = re.compile(r"<(?:lora|lyco|hypernet)\s*:", re.IGNORECASE)
_FOREIGN = re.compile(r"[^\W\d_\u0000-\u024f]")
"""A letter beyond the Latin ones."""


def caption_findings(dataset: Dataset, names: FileNames, tokenizer: CLIPTokenizer | None) -> list[Finding]:
    """Findings about the training pictures' captions; regularisation pictures need none."""
    training = dataset.training_images
    return [
        *_missing(training, dataset.trigger_words, names),
        *_from_folder(training, names),
        *_too_long(training, TokenCounter(tokenizer), names),
        *_prompt_syntax(dataset.images, names),
        *_equal(training, names),
        *_foreign(training, names),
        *_several(training, names),
    ]


def _missing(images: Sequence[DatasetImage], triggers: Sequence[str], names: FileNames) -> list[Finding]:
    """Of their own, that is: the trigger word alone does not describe a picture."""
    none = [image for image in images if image.caption_source == "none"]
    empty = [image for image in images if image.caption_source == "empty"]
    if images and len(none) + len(empty) == len(images):
        return [_no_captions(triggers)]
    advice = "Write what is to be seen into a .txt file named like the picture, or let Auto Tag do so"
    findings = about(
        "caption missing",
        "warn",
        none,
        names,
        one="has no caption",
        several="have no caption",
        advice=advice,
        labels="no caption",
    )
    return findings + about(
        "caption empty",
        "warn",
        empty,
        names,
        one="has an empty caption file",
        several="have empty caption files",
        advice=advice,
        labels="empty caption",
    )


def _no_captions(triggers: Sequence[str]) -> Finding:
    if triggers:
        return Finding(
            kind="caption missing",
            level="note",
            text="no picture has a caption of its own, only the trigger word",
            advice="Let Auto Tag write captions if hair, clothes and background should stay yours to choose",
            case="trigger only",
        )
    return Finding(
        kind="caption missing",
        level="warn",
        text="no picture has a caption, and there is no trigger word",
        advice="Let Auto Tag add a trigger word and captions: without words nothing in a prompt can call the LoRA",
        case="no words",
    )


def _from_folder(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    return about(
        "caption from folder",
        "note",
        [image for image in images if image.caption_source == "folder name"],
        names,
        one="has only its folder's name for a caption",
        several="have only their folder's name for a caption",
        advice="Let Auto Tag describe them if hair, clothes and background should stay yours to choose",
        labels="caption: folder's name",
    )


def _too_long(images: Sequence[DatasetImage], counter: TokenCounter, names: FileNames) -> list[Finding]:
    longest = _longest_captions(images, counter)
    long = [(image, caption, count) for image, (caption, count) in zip(images, longest, strict=True) if count > WINDOW]
    if not long:
        return []
    at_least = "" if counter.is_exact else "at least "
    image, caption, count = max(long, key=lambda entry: entry[2])
    lost = counter.lost_tags(caption)
    loses = some_of(lost) if len(lost) > 1 else "its end"
    longest = f"{names.of(image.path)} has {at_least}{count} and loses {loses}"
    return [
        Finding(
            kind="caption long",
            level="warn",
            text=f"{_how_many_over([count for _, _, count in long])}: {longest}",
            advice=f"Shorten such captions, or move what matters to the front: only the first {WINDOW} tokens are read",
            files=tuple(names.of(image.path) for image, _, _ in long),
            labels=tuple(f"{at_least}{count} tokens" for _, _, count in long),
            values={"window": WINDOW, "name": names.of(image.path), "tokens": count},
        )
    ]


def _how_many_over(counts: Sequence[int]) -> str:
    """Some trainers read 150 or 225 tokens in two or three goes, so those limits are counted too."""
    if len(counts) == 1:
        return f"1 caption has over {WINDOW} tokens"
    further = [(limit, sum(count > limit for count in counts)) for limit in (2 * WINDOW, 3 * WINDOW)]
    beyond = ", ".join(f"{count:,} over {limit}" for limit, count in further if count)
    return f"{len(counts):,} captions have over {WINDOW} tokens{f' ({beyond})' if beyond else ''}"


def _longest_captions(images: Sequence[DatasetImage], counter: TokenCounter) -> list[tuple[str, int]]:
    """Of each picture its longest caption and that one's tokens; each text is counted once."""
    texts = list({caption: None for image in images for caption in image.captions})
    counts = dict(zip(texts, counter.counts(texts), strict=True))
    return [max(((text, counts[text]) for text in image.captions), key=lambda entry: entry[1]) for image in images]


def _prompt_syntax(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    return about(
        "prompt syntax",
        "warn",
        [image for image in images if any(_PROMPT_SYNTAX.search(caption) for caption in image.captions)],
        names,
        one="calls a LoRA in its caption",
        several="call a LoRA in their captions",
        advice="Delete <lora:…> there: in a caption it is text, not a call",
        labels="<lora:…> in caption",
    )


def _equal(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    groups: dict[tuple[str, ...], list[DatasetImage]] = defaultdict(list)
    for image in images:
        if image.caption_source not in ("none", "empty", "folder name") and image.caption:
            groups[tuple(sorted(image.captions))].append(image)
    equal = [image for group in groups.values() if len(group) > 1 for image in group]
    return about(
        "caption equal",
        "note",
        equal,
        names,
        one="has the caption of another",  # there are always two or more
        several="have the same caption as another",
        advice="Say what tells them apart, or the LoRA mixes them",
        labels="caption as another's",
    )


def _foreign(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    return about(
        "caption script",
        "note",
        [image for image in images if any(_FOREIGN.search(caption) for caption in image.captions)],
        names,
        one="has a caption in another script than Latin",
        several="have captions in another script than Latin",
        advice="Write captions in English: the text encoders of SD1.5 and SDXL know little else",
        labels="not English",
    )


def _several(images: Sequence[DatasetImage], names: FileNames) -> list[Finding]:
    return about(
        "several captions",
        "note",
        [image for image in images if image.other_captions],
        names,
        one="has several captions, of which each step draws one",
        several="have several captions, of which each step draws one",
        advice="Let caption lines be joined when you load the folder if they are meant as one",
        labels="several captions",
    )
