"""Which files are masks, of which pictures: a mask that is trained as a picture teaches black and white blots."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset


def read(folder: Path, *names: str, **rules) -> Dataset:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (96, 64), (len(name), 90, 90)).save(folder / name)
    return read_folder(folder, rules=ReadingRules(most_unusable=1, **rules))


def masks(dataset: Dataset) -> dict[str, str]:
    return {image.path.name: image.mask.path.name if image.mask else "" for image in dataset.images}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.png", "a-masklabel.png"], {"a.png": "a-masklabel.png"}),
        (["a.png", "a.mask.png"], {"a.png": "a.mask.png"}),
        (["a.jpg", "a-masklabel.png"], {"a.jpg": "a-masklabel.png"}),
        (["a.png", "a.jpg", "a-masklabel.png"], {"a.png": "a-masklabel.png", "a.jpg": "a-masklabel.png"}),
        (["a.png", "a-masklabel.png", "a.mask.png"], {"a.png": "a-masklabel.png"}),
        (["a.png", "a-masklabel.png", "a-masklabel.webp"], {"a.png": "a-masklabel.png"}),
        (["Mochi.png", "mochi-MaskLabel.PNG"], {"Mochi.png": "mochi-MaskLabel.PNG"}),
        (["é.png", "e\u0301-masklabel.png"], {"é.png": "e\u0301-masklabel.png"}),
        (["a.png", "b-masklabel.png"], {"a.png": "", "b-masklabel.png": ""}),
        (["a.png", "sub/a-masklabel.png"], {"a.png": "", "a-masklabel.png": ""}),
        (["a.png", "-masklabel.png"], {"a.png": "", "-masklabel.png": ""}),
        (["a.b.png", "a.b-masklabel.png"], {"a.b.png": "a.b-masklabel.png"}),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else "",
)
def test_masks_belong_to_the_picture_of_their_name(tmp_path, names, found):
    assert masks(read(tmp_path, *names)) == found


def test_a_mask_that_cannot_be_read_makes_room_for_the_next(tmp_path):
    (tmp_path / "a-masklabel.png").write_bytes(b"")
    dataset = read(tmp_path, "a.png", "a.mask.png")
    assert masks(dataset) == {"a.png": "a.mask.png"}
    assert dataset.images[0].notes == ("its mask a-masklabel.png is not used: empty file",)


def test_transparency_does_not_stand_in_for_a_mask_that_cannot_be_read(tmp_path):
    (tmp_path / "a-masklabel.png").write_bytes(b"")
    Image.new("RGBA", (96, 64), (255, 0, 0, 9)).save(tmp_path / "a.png")
    dataset = read(tmp_path, transparency_as_mask=True)
    assert masks(dataset) == {"a.png": ""} and "is not used" in dataset.images[0].notes[0]


def test_each_spelling_has_its_own_mask_where_both_are_there(tmp_path):
    (tmp_path / "A.png").touch()
    if (tmp_path / "a.png").exists():
        pytest.skip("this disk does not tell upper and lower case apart")
    dataset = read(tmp_path, "A.png", "a.png", "A-masklabel.png", "a-masklabel.png")
    assert masks(dataset) == {"A.png": "A-masklabel.png", "a.png": "a-masklabel.png"}
