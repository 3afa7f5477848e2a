"""Captions: tags edited, the trigger word first, and taggers plugged in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.errors import TrainingError
from trainer_core.tagging.captions import edit_captions, lead_with, split_tags
from trainer_core.tagging.tagger import captions_from_scores, tag_dataset


def image(caption: str, *, source: str = "a.txt", path: Path = Path("a.png"), reg: bool = False) -> DatasetImage:
    return DatasetImage(
        path=path, width=64, height=64, caption=caption, caption_source=source, repeats=1,
        is_regularisation=reg, fingerprint="0" * 32,
    )  # fmt: skip


def edited(caption: str, *, reg: bool = False, **edits) -> str:
    return edit_captions(Dataset(images=(image(caption, reg=reg),)), **edits).images[0].caption


class ColourTagger:
    """Names the strongest colour channel; deterministic, and it counts its calls."""

    name = "colours"

    def __init__(self, answers: int | None = None) -> None:
        self.batches: list[int] = []
        self.answers = answers

    def tag(self, pictures):
        self.batches.append(len(pictures))
        means = [np.asarray(picture).mean((0, 1)) / 255 for picture in pictures]
        scores = [dict(zip(("red", "green", "blue"), map(float, mean), strict=True)) for mean in means]
        return scores if self.answers is None else scores[: self.answers]


@pytest.fixture
def painted(tmp_path) -> Dataset:
    colours = {"red": "own words", "lime": "", "navy": "cat"}
    for name in colours:
        Image.new("RGB", (64, 64), name).save(tmp_path / f"{name}.png")
    sources = {"own words": "red.txt", "": "none", "cat": "folder name"}
    images = tuple(image(text, source=sources[text], path=tmp_path / f"{n}.png") for n, text in colours.items())
    return Dataset(images=images, trigger_words=("mochi",))


@pytest.mark.parametrize(
    ("caption", "tags"),
    [("", []), (" , ,", []), ("a,b , c d", ["a", "b", "c d"]), ("A cat. On a mat.", ["A cat. On a mat."])],
)
def test_split_tags(caption, tags):
    assert split_tags(caption) == tags


@pytest.mark.parametrize(
    ("caption", "result"),
    [
        ("cat, sitting", "mochi, cat, sitting"),
        ("", "mochi"),
        ("cat, Mochi, sitting", "mochi, cat, sitting"),
        ("mochi, cat", "mochi, cat"),
        ("mochi sitting on a mat", "mochi sitting on a mat"),
        ("a photo of mochi on a mat.", "a photo of mochi on a mat."),
        ("a photo of a cat on a mat.", "mochi, a photo of a cat on a mat."),
        ("mochis in a row", "mochi, mochis in a row"),
        ("not mochi", "mochi, not mochi"),
    ],
)
def test_the_trigger_word_comes_first_and_once(caption, result):
    assert edited(caption, trigger_word="mochi") == result
    assert edited(result, trigger_word="mochi") == result


def test_several_trigger_words_keep_their_order():
    assert lead_with("sitting, cat", ["mochi", "cat"]) == "mochi, cat, sitting"
    dataset = edit_captions(Dataset(images=(image("x"),)), trigger_word="mochi, cat")
    assert dataset.trigger_words == ("mochi", "cat")
    again = edit_captions(dataset, trigger_word="Mochi, hat")
    assert [word.casefold() for word in again.trigger_words] == ["mochi", "cat", "hat"]
    assert edit_captions(dataset).trigger_words == ("mochi", "cat")


def test_regularisation_pictures_never_get_the_trigger_word():
    assert edited("cat, hat", reg=True, trigger_word="mochi", remove_tags=["hat"], add_tags=["x"]) == "cat, x"
    assert edited("", reg=True, trigger_word="mochi") == ""


@pytest.mark.parametrize(
    ("caption", "remove", "result"),
    [
        ("Long_Hair, cat", ["long hair"], "cat"),
        ("long hair, cat", ["LONG_HAIR"], "cat"),
        ("blue eyes, red eyes, cat", ["*eyes"], "cat"),
        ("blue eyes, eyes closed", ["*eyes"], "eyes closed"),
        ("catnip, cat", ["cat"], "catnip"),
        (r"saber \(fate\), cat", ["saber (fate)"], "cat"),
        (":?, :o, [o]", [":?"], ":o, [o]"),
        (":?, o, [o]", ["[o]"], ":?, o"),
        ("cat, dog", ["*"], ""),
        ("cat, dog", ["", "  "], "cat, dog"),
        ("a photo of a cat on a mat.", ["cat"], "a photo of a cat on a mat."),
    ],
)
def test_tags_are_removed_whatever_their_spelling(caption, remove, result):
    assert edited(caption, remove_tags=remove) == result


@pytest.mark.parametrize(
    ("caption", "add", "result"),
    [
        ("cat", ["sitting", "Cat"], "cat, sitting"),
        ("cat", ["a, b", "a"], "cat, a, b"),
        ("", ["cat"], "cat"),
        ("a photo of a cat on a mat.", ["outdoors"], "a photo of a cat on a mat, outdoors"),
        ("a photo of a cat on a mat.", [], "a photo of a cat on a mat."),
    ],
)
def test_tags_are_added_at_the_end_and_once(caption, add, result):
    assert edited(caption, add_tags=add) == result


def test_editing_leaves_the_given_dataset_alone():
    dataset = Dataset(images=(image("cat"),))
    edit_captions(dataset, trigger_word="mochi")
    assert dataset.images[0].caption == "cat" and dataset.trigger_words == ()


@pytest.mark.parametrize(
    ("threshold", "caption"), [(0.0, "b, a, c"), (0.5, "b, a"), (0.9, "b"), (1.0, "")]
)  # fmt: skip
def test_scores_become_a_caption_surest_first(threshold, caption):
    assert captions_from_scores({"a": 0.5, "b": 0.9, "c": 0.1}, threshold) == caption


def test_equal_scores_are_in_alphabetical_order():
    assert captions_from_scores({"z": 0.5, "a": 0.5}, 0.1) == "a, z"


def test_a_tagger_writes_captions_with_the_trigger_in_front(painted):
    images = list(tag_dataset(painted, ColourTagger(), threshold=0.6, keep_existing=False))
    assert [entry.caption for entry in images] == ["mochi, red", "mochi, green", "cat"]
    assert [entry.caption_source for entry in images] == ["colours", "colours", "folder name"]
    assert painted.images[0].caption == "own words"


def test_own_captions_are_kept_on_request_and_not_even_looked_at(painted):
    tagger = ColourTagger()
    images = list(tag_dataset(painted, tagger, threshold=0.4, keep_existing=True))
    assert [entry.caption for entry in images] == ["own words", "mochi, green", "mochi, blue"]
    assert tagger.batches == [2]


def test_many_pictures_are_tagged_in_batches_and_in_order(painted):
    tagger = ColourTagger()
    many = painted.with_images(painted.images * 6)
    images = list(tag_dataset(many, tagger, threshold=0.6, keep_existing=False))
    assert [entry.path for entry in images] == [entry.path for entry in many.images]
    assert tagger.batches == [8, 8, 2]


def test_regularisation_pictures_are_tagged_without_the_trigger(painted):
    reg = painted.with_images((image("", path=painted.images[0].path, reg=True),))
    assert next(tag_dataset(reg, ColourTagger(), threshold=0.6, keep_existing=False)).caption == "red"


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_wrong_threshold_is_refused_before_any_work(painted, threshold):
    with pytest.raises(TrainingError, match="threshold"):
        tag_dataset(painted, ColourTagger(), threshold=threshold, keep_existing=False)


def test_a_tagger_that_loses_pictures_is_found_out(painted):
    with pytest.raises(TrainingError, match="answered for 2 of 3"):
        list(tag_dataset(painted, ColourTagger(answers=2), threshold=0.6, keep_existing=False))
