"""Single pictures, captions and masks as a dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from trainer_core.dataset.from_pictures import dataset_of_pictures
from trainer_core.dataset.types import Mask
from trainer_core.errors import TrainingError


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (96, 64), colour).save(tmp_path / f"{name}.png")
    return [tmp_path / "a.png", tmp_path / "b.png"]


def test_captions_are_cleaned_and_given_in_order(paths):
    dataset = dataset_of_pictures(paths, ["  a cat,, sitting ", ""], repeats=4)
    captions = [(image.caption, image.caption_source) for image in dataset.images]
    assert captions == [("a cat, sitting", "given"), ("", "none")]
    assert {image.repeats for image in dataset.images} == {4}
    assert (dataset.images[0].width, dataset.images[0].height) == (96, 64)
    assert dataset.images[0].fingerprint != dataset.images[1].fingerprint


def test_one_caption_is_for_all(paths):
    assert [image.caption for image in dataset_of_pictures(paths, ["a cat"]).images] == ["a cat", "a cat"]
    assert [image.caption for image in dataset_of_pictures(paths).images] == ["", ""]


def test_masks_and_the_kind_are_kept(paths):
    masks = [Mask(path=path, fingerprint="0" * 32) for path in paths]
    dataset = dataset_of_pictures(paths, masks=masks, is_regularisation=True)
    assert [image.mask for image in dataset.images] == masks and not dataset.training_images


@pytest.mark.parametrize(
    ("count", "captions", "masks", "words"),
    [(0, [], 0, "no pictures"), (2, ["a"] * 3, 0, "3 captions for 2"), (2, [], 1, "1 masks for 2")],
)
def test_what_does_not_fit_together_is_refused(paths, count, captions, masks, words):
    with pytest.raises(TrainingError, match=words):
        dataset_of_pictures(paths[:count], captions, [Mask(path=paths[0], fingerprint="")] * masks)


def test_a_picture_that_cannot_be_read_is_named(paths):
    paths[1].write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"b\.png"):
        dataset_of_pictures(paths)
