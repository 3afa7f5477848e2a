"""Which pictures are held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trainer_core.dataset.measures import Measures
from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.training.holdout import hold_out
from trainer_core.training.plan.validation import ValidationPlan

PLAN = ValidationPlan(held_out_share=0.1)


def image(name: object, *, is_regularisation: bool = False, phash: int | None = None) -> DatasetImage:
    picture = DatasetImage(
        path=Path(f"{name}.png"), width=64, height=64, caption=f"{name}", caption_source="none", repeats=2,
        is_regularisation=is_regularisation, fingerprint=f"{name}", bucket=(64, 64),
    )  # fmt: skip
    return picture if phash is None else replace(picture, measures=measures(phash))


def measures(phash: int) -> Measures:
    hashes = {"phash": f"{phash:016x}", "mirrored_phash": f"{phash ^ (2**64 - 1):016x}"}
    hashes |= {"dhash": f"{phash:016x}", "mirrored_dhash": f"{phash ^ (2**64 - 1):016x}"}
    numbers = {name: 0.0 for name in Measures.__dataclass_fields__ if name not in hashes}
    return Measures(**hashes, **numbers)


def pictures(count: int, start: int = 0) -> Dataset:
    return Dataset(images=tuple(image(i) for i in range(start, start + count)), trigger_words=("mochi",))


def names(images) -> set[str]:
    return {picture.path.stem for picture in images}


@pytest.mark.parametrize(("count", "expected"), [(8, 2), (15, 2), (26, 3), (100, 10), (400, 16)])
def test_a_tenth_is_held_out_but_at_least_2_and_at_most_16(count, expected):
    split = hold_out(pictures(count), PLAN)
    assert len(split.held_out) == expected
    assert split.remark == f"{expected} of {count} pictures are held out and only measured"


def test_seven_pictures_are_all_trained_and_the_reason_is_said():
    split = hold_out(pictures(7), PLAN)
    assert split.held_out == () and split.training == pictures(7)
    assert split.remark == "held-out loss is not measured: that takes 8 pictures or more"


@pytest.mark.parametrize("off", [ValidationPlan(held_out_share=0), ValidationPlan(held_out_share=0.1, every_epochs=0)])
def test_nothing_is_held_out_where_it_is_switched_off(off):
    assert hold_out(pictures(50), off).held_out == ()


def test_a_picture_is_either_trained_or_held_out_and_none_is_lost():
    dataset = pictures(30)
    split = hold_out(dataset, PLAN)
    assert names(split.held_out).isdisjoint(names(split.training.images))
    assert names(split.held_out) | names(split.training.images) == names(dataset.images)
    assert split.training.trigger_words == dataset.trigger_words


def test_regularisation_pictures_are_never_held_out_nor_counted():
    extra = tuple(image(f"r{i}", is_regularisation=True) for i in range(40))
    dataset = pictures(7).with_images(pictures(7).images + extra)
    assert hold_out(dataset, PLAN).held_out == ()
    dataset = pictures(10).with_images(extra + pictures(10).images)
    split = hold_out(dataset, PLAN)
    assert len(split.held_out) == 2 and split.training.regularisation_images == extra


def test_the_choice_follows_the_seed_and_nothing_else():
    assert hold_out(pictures(40), PLAN) == hold_out(pictures(40), PLAN)
    plans = [ValidationPlan(held_out_share=0.1, seed=seed) for seed in range(6)]
    others = [names(hold_out(pictures(40), plan).held_out) for plan in plans]
    assert len(set(map(frozenset, others))) == 6


def test_the_choice_does_not_depend_on_the_order_of_the_pictures():
    turned = Dataset(images=pictures(40).images[::-1])
    assert names(hold_out(turned, PLAN).held_out) == names(hold_out(pictures(40), PLAN).held_out)


def test_the_choice_does_not_depend_on_the_names_of_the_files():
    renamed = Dataset(images=tuple(replace(picture, path=Path("x") / picture.path) for picture in pictures(40).images))
    assert names(hold_out(renamed, PLAN).held_out) == names(hold_out(pictures(40), PLAN).held_out)


def test_adding_a_picture_changes_the_choice_by_one_at_most():
    before = names(hold_out(pictures(40), PLAN).held_out)
    for extra in range(1, 6):
        assert len(before & names(hold_out(pictures(40 + extra), PLAN).held_out)) >= len(before) - extra


def test_the_same_picture_in_two_folders_is_trained():
    twice = Dataset(images=pictures(8).images + pictures(4).images)
    for seed in range(10):
        assert names(hold_out(twice, ValidationPlan(held_out_share=0.1, seed=seed)).held_out) <= {"4", "5", "6", "7"}


def test_a_picture_that_is_a_regularisation_picture_too_is_trained():
    extra = tuple(replace(picture, is_regularisation=True) for picture in pictures(6).images)
    for seed in range(10):
        split = hold_out(Dataset(images=pictures(8).images + extra), ValidationPlan(held_out_share=0.1, seed=seed))
        assert names(split.held_out) == {"6", "7"} and split.training.regularisation_images == extra


def test_copies_and_mirrored_copies_are_trained():
    spread = 0x9E3779B97F4A7C15  # far apart in every bit
    plain = [image(i, phash=i * spread % 2**64) for i in range(1, 9)]
    copy = image("copy", phash=(1 * spread % 2**64) ^ 0b11)
    mirrored = image("mirrored", phash=(2 * spread % 2**64) ^ (2**64 - 1))
    dataset = Dataset(images=(*plain, copy, mirrored))
    for seed in range(20):
        held_out = names(hold_out(dataset, ValidationPlan(held_out_share=0.1, seed=seed)).held_out)
        assert len(held_out) == 2 and held_out.isdisjoint({"1", "copy", "2", "mirrored"})


def test_a_set_of_copies_is_trained_whole():
    dataset = Dataset(images=tuple(image(i, phash=7) for i in range(12)))
    split = hold_out(dataset, PLAN)
    assert split.held_out == () and "copies of each other" in split.remark
