"""The verdict: what it calls a run by the shapes of its curves and by what is drawn, and what it advises."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.training.picture_ranking import hardest_first, never_learned
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.two_prompts import TwoPromptResult
from trainer_core.training.validation_report import ValidationReport
from trainer_core.training.verdict import Verdict, verdict
from trainer_core.training.verdict_words import SENTENCES, rate_text

FITTED = (1.0, 0.8, 0.7, 0.66, 0.65, 0.645, 0.64)
STRAIGHT = (1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94)


def curve(base: float, shares) -> list[float]:
    return [base * share for share in shares]


def reports(trained, held_out=None) -> list[ValidationReport]:
    """One report an epoch of 10 steps, the first one the base model's."""
    trained = curve(0.12, trained)
    held_out = curve(0.14, held_out) if held_out else [None] * len(trained)
    return [
        ValidationReport(
            epoch=epoch,
            step=10 * epoch,
            training_loss=loss,
            held_out_loss=other,
            per_picture={"a.png": loss, "b.png": loss, "c.png": loss},
            per_held_out={} if other is None else {"d.png": other},
        )
        for epoch, (loss, other) in enumerate(zip(trained, held_out, strict=True))
    ]


def plan_of(**changes) -> TrainingPlan:
    return TrainingPlan.from_json(
        {"epochs": 6, "optimizer": {"learning_rate": 2e-4}, "schedule": {"name": "constant"}, "network": {"rank": 64}}
        | changes
    )


def pictures(count: int = 20, repeats: int = 15) -> Dataset:
    return Dataset(
        images=tuple(
            DatasetImage(
                path=Path(f"{i}.png"), width=64, height=64, caption="", caption_source="none", repeats=repeats,
                is_regularisation=False, fingerprint=f"{i}",
            )
            for i in range(count)
        )
    )  # fmt: skip


def drawn(*, caption: float = 0.6, variety: float | None = 0.8, nearest: float | None = 1.0) -> TwoPromptResult:
    return TwoPromptResult(caption_distance=caption, trigger_distance=0.5, trigger_variety=variety, nearest=nearest)


def judged(trained, held_out=None, *, two_prompts=None, plan=None, training=None) -> Verdict:
    found = reports(trained, held_out)
    return verdict(found, plan or plan_of(), training or pictures(), two_prompts, found[-1].step)


# ---------------------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize(
    ("kind", "trained", "held_out"),
    [
        ("good", FITTED, FITTED),
        ("good", FITTED, (1.0, 0.81, 0.72, 0.68, 0.67, 0.67, 0.668)),
        ("underfit", STRAIGHT, STRAIGHT),
        ("underfit", STRAIGHT, (1.0, 0.995, 0.985, 0.98, 0.97, 0.965, 0.957)),
        ("overfit", (1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3), (1.0, 0.82, 0.75, 0.74, 0.78, 0.85, 0.9)),
        ("overfit", (1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3), (1.0, 0.82, 0.75, 0.74, 0.74, 0.74, 0.74)),
        ("overfit", (1.0, 0.7, 0.5, 0.6, 0.8, 1.1, 2.0), (1.0, 0.7, 0.5, 0.6, 0.8, 1.1, 2.0)),
        ("overfit", (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), (1.0, 1.02, 1.05, 1.1, 1.2, 1.3, 1.4)),
    ],
)
def test_the_kind_follows_from_the_shape_of_the_curves_whatever_their_height(kind, trained, held_out, scale):
    def flattened(shares):
        return [1 - scale * (1 - share) for share in shares]

    assert judged(flattened(trained), flattened(held_out)).kind == kind


def test_held_out_pictures_that_are_left_far_behind_are_overfitting_even_where_they_keep_falling():
    trained, held_out = (1.0, 0.5, 0.3, 0.2, 0.15, 0.12, 0.1), (1.0, 0.7, 0.5, 0.45, 0.4, 0.36, 0.32)
    assert judged(trained, held_out).kind == "overfit"


def test_trained_pictures_that_get_worse_are_overfitting_and_the_rate_is_named():
    found = judged((1.0, 0.7, 0.5, 0.6, 0.8))
    assert (found.kind, found.since_epoch) == ("overfit", 3) and "the rate is too high" in found.lines[0]


def test_held_out_pictures_that_level_out_a_little_early_by_chance_are_no_overfitting():
    trained, held_out = (1.0, 0.78, 0.64, 0.58, 0.54, 0.52, 0.51), (1.0, 0.74, 0.6, 0.53, 0.51, 0.495, 0.49)
    assert judged(trained, held_out).kind == "good"


def test_a_run_is_not_underfit_where_only_the_trained_pictures_still_fall_steeply():
    assert judged(STRAIGHT, (1.0, 0.985, 0.97, 0.96, 0.953, 0.947, 0.943)).kind == "good"


def test_memorising_begins_after_the_epoch_in_which_held_out_pictures_levelled_out():
    trained, held_out = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4), (1.0, 0.92, 0.84, 0.83, 0.83, 0.83, 0.83)
    assert judged(trained, held_out).since_epoch == 3


def test_a_loss_that_is_no_number_any_more_is_overfitting():
    found = judged((1.0, 0.8, 0.7, math.nan, math.nan), (1.0, 0.8, 0.7, math.nan, math.nan))
    assert (found.kind, found.since_epoch, found.best_epoch) == ("overfit", 3, 2)


def test_a_run_that_hardly_moved_is_underfit_whatever_the_shape():
    shares = (1.0, 0.996, 0.994, 0.994, 0.995)
    found = judged(shares, (1.0, 0.999, 1.0, 1.001, 1.003))
    assert found.kind == "underfit" and "next to nothing" in found.lines[0]


def test_a_cosine_schedule_does_not_hide_that_too_little_was_learned():
    way = [x + math.sin(math.pi * x) / math.pi for x in (0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1)]
    cosine = [1 - 0.2 * share for share in way]  # falls in step with the rate
    assert judged(cosine, cosine, plan=plan_of(schedule={"name": "constant"})).kind == "good"
    assert judged(cosine, cosine, plan=plan_of(schedule={"name": "cosine"})).kind == "underfit"


def test_a_run_without_measurements_gets_no_verdict():
    assert verdict([], plan_of(), pictures(), None, 60).kind == "not measured"
    assert verdict(reports((1.0,)), plan_of(), pictures(), None, 60).kind == "not measured"
    assert judged((math.nan, 0.5)).kind == "not measured"


# ------------------------------------------------------------------------------------------------ two-prompt test


def test_pictures_that_repeat_one_another_are_overfitting():
    found = judged(FITTED, FITTED, two_prompts=drawn(variety=0.2))
    assert (found.kind, found.since_epoch) == ("overfit", None) and "same picture" in found.lines[0]


def test_pictures_that_copy_the_set_are_overfitting_on_sets_too_small_to_hold_any_out():
    assert judged(FITTED, two_prompts=drawn(nearest=0.2)).kind == "overfit"
    assert judged(FITTED, two_prompts=drawn()).kind == "good"


def test_captions_drawn_as_the_base_draws_them_are_underfitting_where_a_curve_has_no_shape_yet():
    assert judged((1.0, 0.9), (1.0, 0.91), two_prompts=drawn(caption=0.95)).kind == "underfit"
    assert judged((1.0, 0.9), (1.0, 0.91), two_prompts=drawn(caption=0.5)).kind == "good"


def test_a_set_without_trigger_is_judged_by_its_captions():
    assert judged(FITTED, FITTED, two_prompts=drawn(variety=None, nearest=None)).kind == "good"


# ----------------------------------------------------------------------------------------------------- since, best


@pytest.mark.parametrize("losses", [(1.0, 0.9), (1.0, 0.9, 0.85)])
def test_few_measurements_alone_are_no_verdict(losses):
    found = judged(losses, losses)
    assert found.kind == "not measured" and found.best_epoch == len(losses) - 1
    assert found.lines[0].startswith(f"Not judged: the loss was measured {len(losses)} times")
    assert not any(sentence.changes for sentence in found.sentences)
    assert judged((1.0, 1.2)).kind == "overfit", "what went wrong is told at once"


def test_overfitting_begins_where_the_held_out_loss_rises_for_good():
    held_out = (1.0, 0.8, 0.7, 0.78, 0.72, 0.8, 0.85)
    found = judged((1.0, 0.8, 0.7, 0.65, 0.6, 0.55, 0.5), held_out)
    assert (found.since_epoch, found.best_epoch) == (5, 2)
    assert found.lines[:2] == (
        "Overfit since epoch 5: held-out loss was lowest after epoch 2 (0.0980) and is 0.1190 now.",
        "Use epoch 2, the one with the lowest held-out loss.",
    )


def test_a_good_run_is_good_from_where_it_comes_within_a_tenth_of_the_best():
    assert judged(FITTED, FITTED).since_epoch == 3


def test_without_held_out_pictures_there_is_no_best_epoch_and_the_verdict_says_so():
    found = judged(FITTED)
    assert found.best_epoch is None and found.lines[-1].startswith("Held-out loss is not measured")


# --------------------------------------------------------------------------------------------------------- advice

OVER = ((1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3), (1.0, 0.82, 0.75, 0.74, 0.78, 0.85, 0.9))


def advice(over: bool, *, repeats: int = 15, **changes) -> str:
    curves = OVER if over else (STRAIGHT, STRAIGHT)
    lines = judged(*curves, plan=plan_of(**changes), training=pictures(repeats=repeats)).lines
    return next(line for line in lines if line.startswith("To train it again")).partition(": ")[2]


def test_the_advice_against_overfitting_names_the_users_own_values():
    assert advice(True) == "UNet rate 2e-4 -> 1e-4, repeats 15 -> 10, or rank 64 -> 32."


def test_the_advice_against_underfitting_goes_the_other_way():
    assert advice(False) == "UNet rate 2e-4 -> 4e-4, repeats 15 -> 23, or rank 64 -> 128."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"optimizer": {"learning_rate": 1e-4, "unet_rate": 0.0}}, "text-encoder rate 5e-5 -> 2.5e-5"),
        (
            {"optimizer": {"name": "Prodigy", "learning_rate": 1.0, "text_encoder_rate": 1.0}},
            "Prodigy's d_coef 1 -> 0.5",
        ),
        ({"steps": 1500}, "steps 1,500 -> 1,000"),
        ({"network": {"rank": 64, "alpha": 8.0}}, "rank 64 -> 32"),
    ],
)
def test_the_advice_is_about_what_decides(changes, expected):
    assert expected in advice(True, **changes)


def test_a_set_seen_once_an_epoch_gets_fewer_epochs():
    assert "epochs 6 -> 4" in advice(True, repeats=1)


def test_nothing_is_advised_below_what_is_usual():
    assert advice(True, repeats=1, epochs=1, network={"rank": 4}) == "UNet rate 2e-4 -> 1e-4."


def test_the_block_size_of_oft_is_no_rank_to_lower():
    assert "rank" not in advice(True, adapter={"kind": "oft"})


def test_few_pictures_are_named_as_a_cause_of_overfitting():
    assert any("8 pictures are few" in line for line in judged(*OVER, training=pictures(8)).lines)
    assert not any("are few" in line for line in judged(*OVER).lines)


@pytest.mark.parametrize(
    ("rate", "text"), [(1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (0.5, "0.5"), (1.0, "1"), (3e-3, "3e-3"), (0.02, "0.02")]
)
def test_rates_are_written_as_people_write_them(rate, text):
    assert rate_text(rate) == text


# --------------------------------------------------------------------------------------------------- per picture


def report(**losses: float) -> ValidationReport:
    return ValidationReport(
        epoch=1, step=1, training_loss=0.1, held_out_loss=None, per_picture=dict(losses), per_held_out={}
    )


def test_pictures_are_ranked_by_their_loss():
    ranked = hardest_first(report(a=0.2, b=0.4, c=0.2), report(a=0.1, b=0.3, c=0.2))
    assert [(picture.name, picture.last) for picture in ranked] == [("b", 0.3), ("c", 0.2), ("a", 0.1)]
    assert [picture.gain for picture in ranked] == pytest.approx([0.25, 0.0, 0.5])


def test_a_picture_that_gains_nothing_while_the_others_do_never_fits():
    first = report(a=0.1, b=0.2, c=0.3, hard=0.9)
    assert never_learned(first, report(a=0.08, b=0.16, c=0.29, hard=0.7)) == ["c"]
    assert never_learned(first, report(a=0.08, b=0.2, c=0.31, hard=0.7)) == ["c", "b"]


def test_no_picture_is_odd_where_none_has_learned():
    assert never_learned(report(a=0.1, b=0.1, c=0.1), report(a=0.1, b=0.0999, c=0.0998)) == []
    assert never_learned(report(a=0.1, b=0.1), report(a=math.nan, b=math.nan)) == []


def test_the_verdict_names_the_picture_that_never_fits():
    found = reports(FITTED, FITTED)
    found[-1].per_picture["b.png"] = found[0].per_picture["b.png"]
    lines = verdict(found, plan_of(), pictures(), None, 60).lines
    assert any(line.startswith("Never fits: b.png.") for line in lines)


def test_no_picture_is_blamed_for_a_run_that_learned_too_little():
    found = reports(STRAIGHT, STRAIGHT)
    found[-1].per_picture["b.png"] = found[0].per_picture["b.png"]
    assert not any(line.startswith("Never") for line in verdict(found, plan_of(), pictures(), None, 60).lines)


# ----------------------------------------------------------------------------------------------------------- JSON


def test_a_verdict_is_json_with_the_key_and_the_values_of_each_sentence():
    value = json.loads(json.dumps(judged(*OVER).to_json()))
    assert value["kind"] == "overfit" and value["best_epoch"] == 3
    first, use, change = value["sentences"][:3]
    assert first["key"] == "rising" and first["values"]["best"] == "3" and first["text"].startswith("Overfit since")
    assert use["values"] == {"best": "3"}
    assert change["changes"][0] == {"field": "UNet rate", "now": "2e-4", "then": "1e-4"}


def test_every_sentence_that_is_said_is_in_the_table_and_none_ends_in_a_full_stop():
    assert all(not text.endswith(".") for text in SENTENCES.values())
