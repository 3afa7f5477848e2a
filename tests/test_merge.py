"""Several datasets as one: repeats kept, words and skipped files joined, double pictures named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from trainer_core.captions.composing import compose
from trainer_core.captions.rules import CaptionRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.merge import combine, merge
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset
from trainer_core.errors import TrainingError
from trainer_core.training.batches import epoch_batches


@pytest.fixture
def folders(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (96, 64), "red").save(tmp_path / name / f"{name}.png")
        (tmp_path / name / "broken.png").touch()
    return tmp_path


def read(folder, repeats: int, word: str) -> Dataset:
    rules = ReadingRules(most_unusable=1)
    return compose(read_folder(folder, repeats=repeats, rules=rules), CaptionRules(trigger_word=word)).dataset


def test_each_keeps_its_repeats_and_all_words_are_kept(folders):
    merged = merge([read(folders / "cat", 3, "mochi"), read(folders / "dog", 7, "rex, mochi")])
    assert [(image.path.name, image.repeats) for image in merged.images] == [("cat.png", 3), ("dog.png", 7)]
    assert merged.trigger_words == ("mochi", "rex")
    assert [entry.path.parent.name for entry in merged.skipped] == ["cat", "dog"]
    assert merged.remarks == ()


def test_a_picture_in_two_datasets_is_named(folders):
    cat = read(folders / "cat", 3, "")
    merged = merge([cat, read(folders / "dog", 1, ""), cat])
    assert len(merged.images) == 3
    assert merged.remarks == ("in more than one dataset, so trained once for each: cat.png",)


def test_a_picture_behind_a_link_is_the_same_picture(folders):
    (folders / "dog" / "link.png").symlink_to(folders / "cat" / "cat.png")
    both = read_folder(folders, rules=ReadingRules(most_unusable=1))
    assert merge([both]).remarks == both.remarks, "one dataset, however often it has a picture"
    link = both.with_images(tuple(image for image in both.images if image.path.name == "link.png"))
    assert "more than one dataset" in merge([link, read(folders / "cat", 1, "")]).remarks[-1]


def test_the_same_picture_by_two_ways_is_named_once(folders, monkeypatch):
    monkeypatch.chdir(folders)
    merged = merge([read(folders / "cat", 1, ""), read(Path("dog/../cat"), 1, ""), read(Path("cat"), 1, "")])
    assert merged.remarks == ("in more than one dataset, so trained once for each: cat.png",)


def test_merged_repeats_are_what_an_epoch_shows(folders):
    merged = merge([read(folders / "cat", 3, ""), read(folders / "dog", 7, "")])
    merged = merged.with_images(tuple(replace(image, bucket=(64, 64)) for image in merged.images))
    shown = [index for batch in epoch_batches(merged, 1, 0, 0) for index in batch]
    assert (shown.count(0), shown.count(1)) == (3, 7)


def test_nothing_to_merge_is_refused():
    with pytest.raises(TrainingError, match="nothing to merge"):
        merge([])


def test_combine_marks_regularisation_pictures_and_their_twins(folders):
    cat = read(folders / "cat", 3, "mochi")
    both = combine(cat, cat)
    assert [image.is_regularisation for image in both.images] == [False, True]
    assert "cat.png" in both.remarks[0]
    assert combine(cat, None) is cat
