"""Advice about tags on nearly every picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer_core.captions.advisor import advise
from trainer_core.dataset.types import Dataset, DatasetImage


def dataset(*captions: str, reg: int = 0, trigger_words: tuple[str, ...] = ()) -> Dataset:
    """The last `reg` pictures are for regularisation."""
    images = tuple(
        DatasetImage(
            path=Path(f"{number}.png"), width=64, height=64, caption=caption, caption_source="a.txt", repeats=1,
            is_regularisation=number >= len(captions) - reg, fingerprint="0" * 32,
        )
        for number, caption in enumerate(captions)
    )  # fmt: skip
    return Dataset(images=images, trigger_words=trigger_words)


@pytest.mark.parametrize(
    ("tag", "kind", "advice"),
    [
        ("red hair", "hair", "absorb"),
        ("blue eyes", "eyes", "absorb"),
        ("cat ears", "body", "absorb"),
        ("school uniform", "clothes", "keep"),
        ("smile", "pose", "keep"),
        ("white background", "background", "keep"),
        ("1girl", "other", "keep"),
    ],
)
def test_fixed_traits_are_for_the_trigger_word_to_absorb(tag, kind, advice):
    (found,) = advise(dataset(*(f"{tag}, x{number}" for number in range(6))))
    assert (found.tag, found.kind, found.share, found.advice) == (tag, kind, 1.0, advice)
    assert found.reason and not found.reason.endswith(".") and "\n" not in found.line


@pytest.mark.parametrize(("with_tag", "of", "is_common"), [(9, 10, True), (8, 10, False), (5, 5, True), (4, 4, False)])
def test_common_is_nine_of_ten_in_five_pictures_or_more(with_tag, of, is_common):
    captions = [f"x{number}" + ", hat" * (number < with_tag) for number in range(of)]
    assert [found.tag for found in advise(dataset(*captions))] == ["hat"] * is_common


def test_the_commonest_comes_first_in_its_commonest_spelling():
    captions = [f"x{number}, red_hair" + ", hat" * (number > 0) for number in range(10)]
    captions[0] = "Red Hair"
    assert [(found.tag, found.share) for found in advise(dataset(*captions))] == [("red_hair", 1.0), ("hat", 0.9)]


def test_trigger_words_and_regularisation_pictures_are_left_out():
    assert advise(dataset(*["Mochi"] * 6, trigger_words=("mochi",))) == []
    assert advise(dataset(*["hat"] * 8, reg=4)) == []
    assert len(advise(dataset(*["hat"] * 9, *["x"] * 9, reg=9))) == 1


def test_pictures_without_a_caption_do_not_count():
    assert advise(dataset(*["hat"] * 4, "", "")) == []
    assert advise(dataset(*["hat"] * 5, "", ""))[0].share == 1.0
