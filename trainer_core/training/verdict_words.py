"""What a verdict says and advises, with the user's own values filled in."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..dataset.types import Dataset
from .plan import TrainingPlan

SENTENCES = {
    "not measured": "not measured: validation was off. Set its epochs to 1 to get a verdict",
    "too few": "not judged: the loss was measured {times} times, the base model's among them, and a verdict takes "
    "{needed}. Measure after each epoch, or train more epochs of fewer repeats",
    "burnt": "overfit since epoch {since}: even the loss of trained pictures rose again, from {lowest} after epoch "
    "{best} to {last}, so the rate is too high",
    "rising": "overfit since epoch {since}: held-out loss was lowest after epoch {best} ({lowest}) and is {last} now",
    "memorised": "overfit since epoch {since}: the loss fell by {trained} on trained pictures and by {held_out} on "
    "held-out ones, so the rest was learned by heart",
    "one composition": "overfit: the trigger words alone draw much the same picture every time",
    "copied": "overfit: the trigger words alone draw pictures that are all but copies of trained ones",
    "hardly moved": "underfit: the loss fell by no more than {trained}, so next to nothing was learned",
    "still falling": "underfit: the loss fell by {trained}, and at the end still at {steepness} of its mean pace",
    "like the base": "underfit: captions of the set are still drawn much as the base model draws them",
    "good": "good since epoch {since}: the loss has levelled out, {trained} lower on trained pictures and {held_out} "
    "on held-out ones",
    "good, nothing held out": "good since epoch {since}: the loss has levelled out, {trained} lower than at first",
    "nothing held out": "held-out loss is not measured, so overfitting may go unseen",
    "use": "use epoch {best}, the one with the lowest held-out loss",
    "change": "to train it again, change one of these: {changes}",
    "more pictures": "{pictures} are few: more of them, and more varied, help most",
    "odd": "never fits: {names}. Look at its caption and its crop, or leave it out",
    "odd, several": "never fit: {names}. Look at their captions and crops, or leave them out",
}
"""English sentences by key, without a full stop. A page may have them in other languages, with the same places."""

_RANKS = 4, 128
"""The smallest and the largest that are advised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A value of the plan and what to try instead."""

    field: str
    """ "UNet rate", "text-encoder rate", "Prodigy's d_coef", "repeats", "epochs", "steps" or "rank"."""
    now: str
    then: str

    @property
    def text(self) -> str:
        return f"{self.field} {self.now} -> {self.then}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One thing a verdict says."""

    key: str
    """Of SENTENCES."""
    values: dict[str, str]
    """For its places, in words or numbers as they are shown."""
    changes: tuple[Change, ...] = ()

    @property
    def text(self) -> str:
        """In English, with a full stop."""
        text = SENTENCES[self.key].format(**self.values, changes=_either(self.changes))
        return f"{text[0].upper()}{text[1:]}."

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "text": self.text}


def remedies(plan: TrainingPlan, training: Dataset, *, more: bool) -> tuple[Change, ...]:
    """What to change where too little was learned (`more`), or too much: the rate, the number of visits, the rank.

    Values that cannot go further in that direction are left out.
    """
    return (_rate(plan, more), *_visits(plan, training, more), *_rank(plan, more))


def rate_text(rate: float) -> str:
    """A rate as people write it: "1e-4", "2.5e-5", "0.5"."""
    if rate >= 0.01:
        return f"{rate:.3g}"
    digits, _, power = f"{rate:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def _rate(plan: TrainingPlan, more: bool) -> Change:
    factor, rates = 2 if more else 1 / 2, plan.optimizer
    if rates.name == "Prodigy":  # finds its rate, times this
        name, now = "Prodigy's d_coef", rates.prodigy_d_coef
    elif rates.rate_of_unet:
        name, now = "UNet rate", rates.rate_of_unet
    else:
        name, now = "text-encoder rate", rates.rate_of_text_encoder
    return Change(field=name, now=rate_text(now), then=rate_text(now * factor))


def _visits(plan: TrainingPlan, training: Dataset, more: bool) -> tuple[Change, ...]:
    repeats = {image.repeats for image in training.training_images}
    if plan.steps:
        name, now = "steps", plan.steps
    elif len(repeats) == 1 and (more or repeats != {1}):
        name, now = "repeats", repeats.pop()
    else:
        name, now = "epochs", plan.epochs
    then = math.ceil(now * 1.5) if more else max(1, round(now * 2 / 3))
    return (Change(field=name, now=f"{now:,}", then=f"{then:,}"),) if then != now else ()


def _rank(plan: TrainingPlan, more: bool) -> tuple[Change, ...]:
    rank = plan.network.rank
    then = rank * 2 if more else rank // 2
    usual = _RANKS[0] <= then <= _RANKS[1] and plan.adapter.kind != "oft"  # there it is the size of blocks
    return (Change(field="rank", now=f"{rank}", then=f"{then}"),) if usual else ()


def _either(changes: tuple[Change, ...]) -> str:
    """ "a, b, or c"."""
    texts = [change.text for change in changes]
    return ", ".join([*texts[:-1], f"or {texts[-1]}"]) if len(texts) > 1 else "".join(texts)
