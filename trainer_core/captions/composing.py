"""Captions put together: what a picture had, what a tagger or the graph says, the rules, the edits by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from ..dataset.caption_text import clean_caption
from ..dataset.naming import file_keys
from ..dataset.types import Dataset, DatasetImage
from ..dataset.wording import FileNames, many, some_of
from ..errors import TrainingError
from ..tagging.tagger import TagAnswer, TaggerModel
from .choosing import TagChoice
from .edits import NO_EDITS, CaptionEdit, CaptionEdits, apply_to_all
from .kinds import kind_of
from .rules import CaptionRules, Existing
from .tags import (
    TagPatterns,
    is_sentence,
    join_tags,
    lead_with,
    merged_words,
    plain_tag,
    says,
    split_tags,
    unescaped,
    with_added,
    with_replaced,
)

GIVEN = "given"
"""The `caption_source` of captions that came from the graph."""
_NOT_OWN = ("none", "empty", "folder name")


@dataclass(frozen=True, kw_only=True, slots=True)
class Composition:
    """A captioned dataset, and how its captions came about."""

    dataset: Dataset
    automatic: tuple[str, ...]
    """The caption of each picture, of several the first, by the rules alone: before edits by hand, without the trigger
    word."""
    keys: tuple[str, ...]
    """By what name edits find each picture."""
    remarks: tuple[str, ...]
    """What should be told, a line each."""


def compose(
    dataset: Dataset,
    rules: CaptionRules,
    *,
    answers: Sequence[TagAnswer] | None = None,
    model: TaggerModel | None = None,
    texts: Sequence[str] | None = None,
    edits: CaptionEdits = NO_EDITS,
) -> Composition:
    """The dataset with its captions made; the files on disk stay as they are.

    A caption is what the picture had, what is new, or both. Then tags are replaced, removed and added, the edits
    by hand applied, and the trigger word put in front, except on regularisation pictures: they show what the word
    does not mean. A picture of which nothing new is said keeps the caption it had.

    Args:
        answers: what a tagger said of each picture; goes with `model`, that tagger.
        texts: a caption for each picture, or one for all.

    Raises:
        TrainingError: another number of answers or texts than of pictures.
    """
    images, triggers = dataset.images, split_tags(rules.trigger_word)
    source = model.name if model else GIVEN
    sayings = [
        None if rules.existing == "keep" and _has_own_caption(image) else saying
        for image, saying in zip(images, _sayings(len(images), rules, answers, model, texts), strict=True)
    ]
    sourced = [
        _told(image, saying, rules.existing, dataset.trigger_words, source) if saying and saying.parts else image
        for image, saying in zip(images, sayings, strict=True)
    ]
    silent = [image for image, saying in zip(images, sayings, strict=True) if saying and not saying.parts]
    by_rules = list(map(_rewriting(rules), sourced))
    finished = tuple(
        _finished(image, captions, edits.of(image.path), triggers)
        for image, captions in zip(sourced, by_rules, strict=True)
    )
    return Composition(
        dataset=replace(dataset, images=finished, trigger_words=merged_words(dataset.trigger_words, triggers)),
        automatic=tuple(first for first, *_ in by_rules),
        keys=file_keys([image.path for image in images]),
        remarks=(*_silence(dataset, silent, rules, model), *_lost(dataset, edits)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Saying:
    """What is newly said of a picture, by the text that the graph gives and by a tagger."""

    sentences: tuple[str, ...] = ()
    """The parts of prose between its commas."""
    tags: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        return self.sentences + self.tags


def _sayings(
    count: int,
    rules: CaptionRules,
    answers: Sequence[TagAnswer] | None,
    model: TaggerModel | None,
    texts: Sequence[str] | None,
) -> Sequence[_Saying | None]:
    """One a picture; None where nothing was asked."""
    if texts is not None and len(texts) not in (1, count):
        raise TrainingError(f"there are {len(texts)} captions for {count} pictures. Give one each, or one for all.")
    if answers is not None and len(answers) != count:
        raise TrainingError(f"the tagger answered for {len(answers)} of {count} pictures. Run it again.")
    given = [_text_saying(text) for text in texts] if texts is not None else [None]
    given = given * count if len(given) == 1 else given
    if answers is None or model is None:
        return given
    choice = TagChoice(rules, model)
    return [_joined(saying, _answer_saying(answer, choice)) for saying, answer in zip(given, answers, strict=True)]


def _text_saying(text: str) -> _Saying:
    text = unescaped(clean_caption(text).joined)
    parts = tuple(split_tags(text))
    return _Saying(sentences=parts) if is_sentence(text) else _Saying(tags=parts)


def _answer_saying(answer: TagAnswer, choice: TagChoice) -> _Saying:
    return _Saying(sentences=tuple(split_tags(unescaped(answer.sentence))), tags=tuple(choice.tags(answer)))


def _joined(first: _Saying | None, second: _Saying) -> _Saying:
    if first is None:
        return second
    return _Saying(sentences=first.sentences + second.sentences, tags=first.tags + second.tags)


def _told(
    image: DatasetImage, saying: _Saying, existing: Existing, trigger_words: Sequence[str], source: str
) -> DatasetImage:
    """The picture with its new caption, or with the new words in each that it has. Trigger words that were set
    before stay in front."""
    captions = image.captions if existing == "merge" and _has_own_caption(image) else ("",)
    first, *others = (_merged(caption, saying) for caption in captions)
    said_before = [word for word in trigger_words if says(image.caption, word)]
    return replace(
        image,
        caption=lead_with(first, said_before),
        other_captions=tuple(lead_with(other, said_before) for other in others),
        caption_source=source,
    )


def _merged(caption: str, saying: _Saying) -> str:
    """Sentences come before tags, what was there before what is new."""
    own = split_tags(caption)
    first, second = (saying.sentences, own) if not is_sentence(caption) else (own, saying.sentences)
    return join_tags(with_added(with_added([], first), (*second, *saying.tags)))


def _has_own_caption(image: DatasetImage) -> bool:
    return bool(image.caption) and image.caption_source not in _NOT_OWN


def _rewriting(rules: CaptionRules) -> Callable[[DatasetImage], tuple[str, ...]]:
    """Tags replaced, then removed, then added, in each caption of a picture."""
    replacements = [(TagPatterns([old]), unescaped(new)) for old, new in rules.replace_tags]
    removed, removed_kinds = TagPatterns(rules.remove_tags), frozenset(rules.remove_kinds)
    added = [unescaped(tag) for tag in rules.add_tags]

    @cache
    def replacement(plain: str) -> str | None:
        return next((new for patterns, new in replacements if patterns.match(plain)), None)

    @cache
    def is_removed(tag: str) -> bool:
        return removed.match(tag) or kind_of(tag) in removed_kinds

    def rewritten(caption: str) -> str:
        tags = split_tags(unescaped(caption))
        if replacements:
            found = {plain: replacement(plain) for plain in map(plain_tag, tags)}
            tags = with_replaced(tags, {plain: new for plain, new in found.items() if new is not None})
        return join_tags(with_added([tag for tag in tags if not is_removed(tag)], added))

    return lambda image: tuple(map(rewritten, image.captions))


def _finished(
    image: DatasetImage, by_rules: Sequence[str], edit: CaptionEdit | None, triggers: Sequence[str]
) -> DatasetImage:
    captions = apply_to_all(by_rules, edit) if edit else by_rules
    if triggers and not image.is_regularisation:
        captions = [lead_with(caption, triggers) for caption in captions]
    first, *others = [caption for caption in captions if caption] or [""]
    return replace(image, caption=first, other_captions=tuple(others))


def _silence(
    dataset: Dataset, silent: Sequence[DatasetImage], rules: CaptionRules, model: TaggerModel | None
) -> list[str]:
    if not silent:
        return []
    if model is None:
        reason = "the text given is empty"
    elif model.threshold:
        reason = f"no tag reaches {model.threshold if rules.threshold is None else rules.threshold:g}"
    else:
        reason = f"{model.name} says nothing"
    kept = "it keeps its caption" if len(silent) == 1 else "they keep their captions"
    names = FileNames(dataset)
    return [f"{many(len(silent), 'picture')}: {reason}; {kept}: {some_of(names.of(image.path) for image in silent)}"]


def _lost(dataset: Dataset, edits: CaptionEdits) -> list[str]:
    lost = edits.lost(image.path for image in dataset.images)
    return [f"edits by hand for {many(len(lost), 'picture')} that are not here: {some_of(lost)}"] if lost else []
