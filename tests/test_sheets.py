"""Contact sheets show every picture, its crop and a text that stays inside its cell."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trainer_core import sheets
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.proof_sheet import proof_sheet
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.errors import TrainingError
from trainer_core.lettering import cut
from trainer_core.sheets import BACKGROUND, Tile, captioned_sheet, picture_grid

LONG_NAME = "IMG_20240713_183422 a very long name that nobody reads (edited, final) copy 3.png"


def white(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "white")


def is_background(sheet: Image.Image, box: tuple[int, int, int, int]) -> bool:
    return [colour for _, colour in sheet.crop(box).getcolors()] == [BACKGROUND]


@pytest.fixture
def dataset(tmp_path):
    for name, size in (("a.png", (200, 100)), (LONG_NAME, (100, 200)), ("猫.png", (64, 64))):
        white(*size).save(tmp_path / name)
    return read_folder(tmp_path)


def test_the_cut_part_is_dim_and_the_kept_part_bright(dataset):
    cropped = crop_dataset(dataset, CropRules(width=64, height=64, method="center"))
    pixels = np.asarray(proof_sheet(cropped, columns=3, cell=192))
    wide = pixels[16 + 48 : 16 + 144, 16 : 16 + 192]  # 200 x 100, fitted into the first cell
    assert tuple(wide[48, 96]) == (255, 255, 255)
    assert wide[48, 10].max() < 100 and wide[48, 182].max() < 100
    assert tuple(wide[48, 48]) == (120, 190, 255), "the frame of a centre crop is blue"


def test_pictures_not_cropped_are_shown_whole(dataset):
    assert np.asarray(proof_sheet(dataset, columns=3, cell=192))[100, 20].min() == 255


def test_a_limited_sheet_says_how_many_are_missing(dataset):
    short, full = proof_sheet(dataset, limit=2, columns=2), proof_sheet(dataset, columns=2)
    assert short.height < full.height
    assert not is_background(short, (0, short.height - 40, short.width, short.height - 10))


def test_a_picture_that_vanished_is_shown_as_such(dataset):
    dataset.images[0].path.unlink()
    assert tuple(np.asarray(proof_sheet(dataset, columns=3))[100, 100]) == (70, 30, 34)


@pytest.mark.parametrize("arguments", [{"columns": 0}, {"cell": 10}, {"limit": 0}])
def test_an_impossible_layout_is_refused(dataset, arguments):
    with pytest.raises(TrainingError, match="cannot be drawn"):
        proof_sheet(dataset, **arguments)


def test_an_empty_dataset_has_no_sheet(dataset):
    with pytest.raises(TrainingError, match="no pictures"):
        proof_sheet(dataset.with_images(()))


@pytest.mark.parametrize("cell", [64, 192, 400])
@pytest.mark.parametrize("text", [LONG_NAME, "W" * 300, "猫" * 80, "", "two\nlines"])
def test_text_never_leaves_its_cell(cell, text):
    sheet = captioned_sheet([Tile(white(10, 10), (text, text))], columns=1, cell=cell)
    gap = (sheet.width - cell) // 2
    assert is_background(sheet, (gap + cell + 1, 0, sheet.width, sheet.height))
    assert is_background(sheet, (0, sheet.height - gap // 2, sheet.width, sheet.height))


def test_a_long_file_name_keeps_both_ends_and_a_title_its_start():
    name = cut(LONG_NAME, 192, size=13)
    assert name.startswith("IMG_2024") and name.endswith("copy 3.png") and "…" in name
    title = sheets._wrapped("a cat on a mat " * 20, 192, 192)
    assert len(title) == 3 and title[-1].endswith("…")


def test_a_grid_places_pictures_under_their_titles():
    rows = [[white(30, 30), white(60, 30)], [white(30, 60)]]
    plain = picture_grid(rows, [], [], cell=96)
    assert plain.size == (8 + 2 * (96 + 8), 8 + 2 * (96 + 8))
    assert plain.getpixel((8 + 48, 8 + 48)) == (255, 255, 255)
    assert is_background(plain, (8 + 96 + 8, 8 + 96 + 8, plain.width, plain.height)), "no fourth picture"
    titled = picture_grid(rows, ["before", "a title that is much too long for its column"], ["one", "two"], cell=96)
    assert titled.width > plain.width and titled.height > plain.height
    assert titled.getpixel((titled.width - 8 - 48, titled.height - plain.height + 8 + 48)) == (255, 255, 255)
