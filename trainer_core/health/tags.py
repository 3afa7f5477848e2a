"""What the words of captions do: trigger words that do not work, tags on every picture, two ways of writing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..captions.advisor import advise
from ..captions.tags import plain_tag, says, split_tags
from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames, some_of
from ..families.tokenizers import CLIP_VOCABULARY
from .findings import Finding, about

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

_FIRST_RARE_TOKEN = 40_000
"""CLIP's vocabulary begins with the commonest words; "sks" and "ohwx", which people choose, stand at its end."""
_MOST_TAG_WORDS = 4
_UNDERSCORED = re.compile(r"[^\W_]_[^\W_]")


def tag_findings(dataset: Dataset, names: FileNames, tokenizer: CLIPTokenizer | None) -> list[Finding]:
    """Findings about trigger words and tags. Regularisation pictures are named only where they say the trigger."""
    training, triggers = dataset.training_images, dataset.trigger_words
    return [
        *_trigger_missing(training, triggers, names),
        *_trigger_known(triggers, tokenizer),
        *_trigger_against_itself(dataset.regularisation_images, triggers, names),
        *_common_tags(dataset),
        *_two_styles(training, triggers, names),
    ]


def _trigger_missing(images: Sequence[DatasetImage], triggers: Sequence[str], names: FileNames) -> list[Finding]:
    findings = []
    for trigger in triggers:
        findings += about(
            "trigger missing",
            "warn",
            [image for image in images if not all(says(caption, trigger) for caption in image.captions)],
            names,
            one=f"does not say the trigger word {trigger!r}",
            several=f"do not say the trigger word {trigger!r}",
            advice="Let Auto Tag put it in front of every caption",
            labels=f"no {trigger!r}",
            values={"word": trigger},
        )
    return findings


def _trigger_known(triggers: Sequence[str], tokenizer: CLIPTokenizer | None) -> list[Finding]:
    """A word with a token of its own is one that CLIP met often; other vocabularies than CLIP's say no such thing."""
    if tokenizer is None or len(tokenizer) != CLIP_VOCABULARY:
        return []
    findings = []
    for word in triggers:
        ids = tokenizer(word, add_special_tokens=False).input_ids
        if len(ids) == 1:
            is_common = ids[0] < _FIRST_RARE_TOKEN
            meaning = "an ordinary word" if is_common else "one token, though a rare one,"
            findings.append(
                Finding(
                    kind="trigger known",
                    level="warn" if is_common else "note",
                    text=f"the trigger word {word!r} is {meaning} to the model",
                    advice="Choose a made-up word if traces of an old meaning would disturb",
                    case="ordinary" if is_common else "rare",
                    values={"word": word},
                )
            )
    return findings


def _trigger_against_itself(images: Sequence[DatasetImage], triggers: Sequence[str], names: FileNames) -> list[Finding]:
    said = [image for image in images if any(says(c, word) for word in triggers for c in image.captions)]
    return about(
        "trigger in regularisation",
        "stop",
        said,
        names,
        one="of regularisation says the trigger word",
        several="of regularisation say the trigger word",
        advice="Take the word out there: regularisation pictures show what it does not mean",
        labels="says the trigger word",
    )


def _common_tags(dataset: Dataset) -> list[Finding]:
    common = advise(dataset)
    if not common:
        return []
    absorbed = some_of(advice.tag for advice in common if advice.advice == "absorb")
    kept = some_of(advice.tag for advice in common if advice.advice == "keep")
    trigger = "the trigger word" if dataset.trigger_words else "your trigger word, if it is none of these,"
    parts = [
        f"remove {absorbed} and {trigger} absorbs it" if absorbed else "",
        f"keep {kept} and it stays yours to choose in prompts" if kept else "",
    ]
    advice = "; ".join(filter(None, parts))
    listed = some_of(f"{entry.tag} ({entry.share:.0%})" for entry in common)
    return [
        Finding(
            kind="common tags",
            level="note",
            text=f"tags on nearly every picture: {listed}",
            advice=advice[0].upper() + advice[1:],
            case=" and ".join(filter(None, ["absorb" if absorbed else "", "keep" if kept else ""])),
            values={"tags": listed, "absorbed": absorbed, "kept": kept},
        )
    ]


def _two_styles(images: Sequence[DatasetImage], triggers: Sequence[str], names: FileNames) -> list[Finding]:
    """`long_hair` in some captions and `long hair` in others."""
    apart = {plain_tag(trigger) for trigger in triggers}
    underscored, spaced = [], []
    for image in images:
        tags = [tag for caption in image.captions for tag in split_tags(caption) if plain_tag(tag) not in apart]
        if any(_UNDERSCORED.search(tag) for tag in tags):
            underscored.append(image)
        if any(1 < len(tag.split()) <= _MOST_TAG_WORDS for tag in tags):
            spaced.append(image)
    if not underscored or not spaced:
        return []
    return about(
        "tag style",
        "note",
        underscored if len(underscored) <= len(spaced) else spaced,
        names,
        one="writes tags otherwise than the rest (long_hair, long hair)",
        several="write tags otherwise than the rest (long_hair, long hair)",
        advice="Use one style, the one you will type: the model takes them for different words",
        labels="other tag style",
    )
