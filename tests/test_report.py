"""The dataset report counts right, is JSON, and says nothing about where files lie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.photos import entry
from trainer_core.captions.composing import compose
from trainer_core.captions.rules import CaptionRules
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.merge import combine
from trainer_core.dataset.report import dataset_report, report_lines
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset
from trainer_core.dataset.wording import FileNames

LENIENT = ReadingRules(most_unusable=1.0)


@pytest.fixture
def dataset(tmp_path):
    for name, size in (("5_cat/a.png", (128, 64)), ("5_cat/b.png", (64, 64)), ("c.png", (256, 256))):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(tmp_path / "set" / name)
    (tmp_path / "set" / "5_cat" / "a.txt").write_text("black cat")
    (tmp_path / "set" / "broken.png").touch()
    (tmp_path / "reg").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "reg" / "r.png")
    return combine(read_folder(tmp_path / "set", repeats=2, rules=LENIENT), read_folder(tmp_path / "reg"))


def test_the_counts(dataset):
    report = dataset_report(dataset)
    assert report["pictures"] == 3 and report["regularisation_pictures"] == 1
    assert report["samples_per_epoch"] == 5 + 5 + 2 and report["regularisation_samples"] == 1
    assert report["repeats"] == {"2": 1, "5": 2}
    assert report["captions_missing"] == ["set/c.png", "reg/r.png"]
    assert report["captions_from_folder"] == 1
    assert report["skipped"] == [{"file": "set/broken.png", "reason": "empty file"}]
    assert report["buckets"] == [] and report["crop_methods"] == {}


def test_the_bucket_table_and_the_crop_of_each_file(dataset):
    report = dataset_report(crop_dataset(dataset, CropRules(width=128, height=128, method="center", enlarge=True)))
    assert report["buckets"] == [
        {"width": 128, "height": 128, "pictures": 4, "samples": 13, "mean_cut": 0.125, "most_cut": 0.5}
    ]
    assert report["crop_methods"] == {"center": 1, "whole": 3}
    rows = {row["file"]: row for row in report["files"]}
    assert rows["set/5_cat/a.png"]["crop"] == {
        "left": 32, "top": 0, "right": 96, "bottom": 64, "method": "center", "kept": 0.5, "enlarged": 2.0,
    }  # fmt: skip
    assert rows["set/c.png"]["crop"]["enlarged"] == 0.5
    assert rows["set/c.png"]["bucket"] == [128, 128]


def test_the_report_is_json_and_private(dataset, tmp_path):
    text = json.dumps(dataset_report(crop_dataset(dataset, CropRules(width=64, height=64, method="focus"))))
    assert str(tmp_path) not in text and tmp_path.name not in text


def test_the_lines_read_well(dataset):
    cropped = crop_dataset(dataset, CropRules(width=64, height=64, method="center"))
    dataset = compose(cropped, CaptionRules(trigger_word="mochi")).dataset
    assert report_lines(dataset_report(dataset)) == [
        "3 pictures, 12 samples per epoch (repeats: 1 x2, 2 x5)",
        "1 regularisation picture, 1 sample",
        "trigger words: mochi",
        "1 caption taken from the folder's name",
        "1 caption missing: reg/r.png",
        "crop: center 1, whole 3",
        "bucket 64 x 64: 4 pictures, 13 samples, cuts 12% on average, 50% at most",
        "1 file skipped:",
        "  set/broken.png: empty file",
    ]


def test_long_lists_are_shortened(tmp_path):
    for number in range(30):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{number}.png")
        (tmp_path / f"bad{number}.png").touch()
    lines = report_lines(dataset_report(read_folder(tmp_path, rules=LENIENT)))
    assert "30 captions missing: 0.png, 1.png, 2.png, 3.png, 4.png and 25 more" in lines
    assert lines[-1] == "  and 10 more" and len(lines) < 30


def test_files_of_one_name_on_two_disks_are_told_apart():
    """Under D:\\10_mochi and E:\\10_mochi, say; whatever goes by a name would mix them up."""
    images = [entry("a.png", path=Path(f"/{disk}/10_mochi/a.png")) for disk in ("first", "second", "third")]
    names = FileNames(Dataset(images=(*images, images[0])))
    shown = [names.of(image.path) for image in images]
    assert shown == ["10_mochi/a.png", "10_mochi/a.png (2)", "10_mochi/a.png (3)"]
    assert names.of(Path("/first/10_mochi")) == "first/10_mochi"
