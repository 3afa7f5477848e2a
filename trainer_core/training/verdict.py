"""Underfit, good or overfit: what the measurements of a run say, from the shapes of curves and never their heights.

A loss says little by itself, as it differs between base models and pictures. So every curve is divided by what the base
model begins with, and the rules ask how much of the gain is lost again, how much of it carries over to held-out
pictures, and how fast it still grew at the end. benchmarks/verdict_calibration.py measures how often they are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..dataset.types import Dataset
from ..dataset.wording import many, some_of
from .learning_curve import LearningCurve
from .picture_ranking import never_learned
from .plan import TrainingPlan
from .two_prompts import TwoPromptResult
from .validation_report import ValidationReport
from .verdict_words import Sentence, remedies

Kind = Literal["underfit", "good", "overfit", "not measured"]

LOST = 0.10
"""Rise of a curve against the most that trained pictures gained, from where it counts."""
ALONE = 0.12
"""Share of their gain that trained pictures made once held-out ones had levelled out, beyond what these still made,
from where it was learned by heart."""
APART = 1.4
"""What is left of the loss of held-out pictures against trained ones', from where these are known by heart."""
ONE_COMPOSITION = 0.42
"""Variety of the trigger's pictures, against the training pictures', up to which they repeat one another."""
COPIED = 0.50
"""Distance of the trigger's pictures from the nearest training picture, against that between training pictures, up to
which they are copies."""
STEEP = 0.60
"""Slope over the last third of the way against that of the whole way: 1 is a straight line, 0 is level."""
LIKE_THE_BASE = 0.85
"""Distance of captions' pictures from their sources, against the base model's, from where little was learned."""
_HARDLY = 0.01
"""Share of the base model's loss that a run must gain to have learned anything."""
FEWEST_POINTS = 4
"""Measurements, the base model's among them, from which a curve has a shape."""
_FEW_PICTURES = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of a run, and what to do."""

    kind: Kind
    since_epoch: int | None
    """From which epoch on it was so; None for underfit, and where only the two-prompt test tells."""
    best_epoch: int | None
    """The epoch of the lowest held-out loss; None where none was held out."""
    sentences: tuple[Sentence, ...]
    """What was found, then what to do. A page may have them in its own language, by their keys."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The sentences in English."""
        return tuple(sentence.text for sentence in self.sentences)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "since_epoch": self.since_epoch,
            "best_epoch": self.best_epoch,
            "sentences": [sentence.to_json() for sentence in self.sentences],
        }


def verdict(
    reports: Sequence[ValidationReport],
    plan: TrainingPlan,
    training: Dataset,
    two_prompts: TwoPromptResult | None,
    total_steps: int,
) -> Verdict:
    """Judge a run by its reports, of which the first is the base model's, epoch 0.

    Args:
        training: what was trained, as `hold_out` gives it.
        two_prompts: of the last epoch; None where it was not drawn.
        total_steps: of the whole run, even where it was stopped before.
    """
    if len(reports) < 2 or not math.isfinite(reports[0].training_loss):
        return Verdict(kind="not measured", since_epoch=None, best_epoch=None, sentences=(_say("not measured"),))
    trained = LearningCurve.of(reports, lambda report: report.training_loss, plan.schedule, total_steps)
    held_out = None
    if reports[0].held_out_loss is not None:
        held_out = LearningCurve.of(reports, lambda report: report.held_out_loss, plan.schedule, total_steps)
    kind, since_epoch, finding = _judge(trained, held_out, two_prompts)
    best_epoch = held_out.epochs[held_out.lowest] if held_out else None
    sentences = [finding]
    if kind == "overfit" and best_epoch not in (None, 0, reports[-1].epoch):
        sentences.append(_say("use", best=best_epoch))
    if kind in ("underfit", "overfit"):
        changes = remedies(plan, training, more=kind == "underfit")
        sentences.append(Sentence(key="change", values={}, changes=changes))
    pictures = len(training.training_images)
    if kind == "overfit" and pictures < _FEW_PICTURES:
        sentences.append(_say("more pictures", pictures=many(pictures, "picture")))
    odd = never_learned(reports[0], reports[-1])
    if odd and kind != "underfit":
        sentences.append(_say("odd" if len(odd) == 1 else "odd, several", names=some_of(odd)))
    if held_out is None:
        sentences.append(_say("nothing held out"))
    return Verdict(kind=kind, since_epoch=since_epoch, best_epoch=best_epoch, sentences=tuple(sentences))


def _judge(
    trained: LearningCurve, held_out: LearningCurve | None, drawn: TwoPromptResult | None
) -> tuple[Kind, int | None, Sentence]:
    """The first rule that holds: what spoils a LoRA comes before what it lacks."""
    gains = _gains(trained, held_out)
    if max(map(abs, trained.gains)) < _HARDLY:
        return "underfit", None, _say("hardly moved", **gains)
    most = max(*trained.gains, _HARDLY)
    for key, curve in (("burnt", trained), ("rising", held_out)):
        if curve and curve.rise() >= LOST * most:
            return "overfit", *_rising(key, curve, most)
    if held_out and _is_memorised(trained, held_out):
        since = held_out.epochs[min(held_out.levelled() + 1, len(held_out.epochs) - 1)]
        return "overfit", since, _say("memorised", since=since, **gains)
    if drawn and drawn.trigger_variety is not None and drawn.trigger_variety <= ONE_COMPOSITION:
        return "overfit", None, _say("one composition")
    if drawn and drawn.nearest is not None and drawn.nearest <= COPIED:
        return "overfit", None, _say("copied")
    if _is_steep(trained) and (held_out is None or _is_steep(held_out)):
        return "underfit", None, _say("still falling", steepness=f"{trained.steepness:.0%}", **gains)
    if not _has_shape(trained) and drawn and drawn.caption_distance >= LIKE_THE_BASE:
        return "underfit", None, _say("like the base")
    if not _has_shape(trained) and drawn is None:
        return "not measured", None, _say("too few", times=len(trained.shares), needed=FEWEST_POINTS)
    curve = held_out or trained
    since = curve.since(lambda place: curve.rise(place) < LOST * most)
    return "good", since, _say("good" if held_out else "good, nothing held out", since=since, **gains)


def _is_memorised(trained: LearningCurve, held_out: LearningCurve) -> bool:
    """Whether trained pictures went on without the held-out ones, or left them far behind."""
    if not _has_shape(trained):
        return False
    level = held_out.levelled()
    alone = trained.gained_after(level) - held_out.gained_after(level)
    return alone >= ALONE or held_out.shares[-1] >= APART * trained.shares[-1]


def _is_steep(curve: LearningCurve) -> bool:
    return _has_shape(curve) and curve.steepness >= STEEP


def _has_shape(curve: LearningCurve) -> bool:
    return len(curve.shares) >= FEWEST_POINTS


def _rising(key: str, curve: LearningCurve, most: float) -> tuple[int, Sentence]:
    since = curve.since(lambda place: curve.rise(place) >= LOST * most)
    lowest, last = f"{curve.losses[curve.lowest]:.4f}", f"{curve.losses[-1]:.4f}"
    return since, _say(key, since=since, best=curve.epochs[curve.lowest], lowest=lowest, last=last)


def _gains(trained: LearningCurve, held_out: LearningCurve | None) -> dict[str, str]:
    gains = {"trained": f"{trained.gains[-1]:.0%}"}
    return gains | ({"held_out": f"{held_out.gains[-1]:.0%}"} if held_out else {})


def _say(key: str, **values: object) -> Sentence:
    return Sentence(key=key, values={name: f"{value}" for name, value in values.items()})
