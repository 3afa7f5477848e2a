"""Which source says where the subject is, and what the crop does with it: zoom, padding, no enlarging."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.overrides import read_overrides
from trainer_core.crop.proof_sheet import proof_sheet
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.pictures import training_mask, training_pixels
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset, Mask
from trainer_core.errors import TrainingError

SIZE = (900, 300)
SQUARE = CropRules(width=256, height=256)


class OneFace:
    """A detector that sees the same faces everywhere."""

    def __init__(self, *boxes) -> None:
        self.boxes = list(boxes)

    def find(self, picture):
        return self.boxes


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """A wide grey picture with a red ball at its left end."""
    picture = Image.new("RGB", SIZE, (120, 122, 118))
    ImageDraw.Draw(picture).ellipse((20, 60, 200, 240), "red")
    (tmp_path / "set").mkdir()
    picture.save(tmp_path / "set" / "a.png")
    return read_folder(tmp_path / "set")


def mask_over(folder: Path, box: tuple[int, int, int, int], size=SIZE) -> Mask:
    picture = Image.new("L", size)
    picture.paste(255, box)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    path = folder / f"mask-{box[0]}.png"
    path.write_bytes(buffer.getvalue())
    return Mask(path=path, fingerprint=hashlib.blake2b(buffer.getvalue(), digest_size=16).hexdigest())


def with_mask(dataset: Dataset, mask: Mask) -> Dataset:
    return dataset.with_images(tuple(replace(image, mask=mask) for image in dataset.images))


def the_crop(dataset: Dataset, rules: CropRules = SQUARE, **sources):
    (image,) = crop_dataset(dataset, rules, **sources).images
    return image.crop


def holds(crop, box) -> bool:
    return crop.left <= box[0] and crop.top <= box[1] and crop.right >= box[2] and crop.bottom >= box[3]


def test_the_sources_come_in_order_of_trust(dataset, tmp_path):
    """Each source names another place; the surest one that is there decides."""
    at_mask, at_boxes, at_face = (700, 100, 800, 200), (500, 100, 560, 160), (400, 100, 450, 150)
    face = OneFace(at_face)
    masked = with_mask(dataset, mask_over(tmp_path, at_mask))
    crop = the_crop(masked, boxes=[[at_boxes]], faces=face)
    assert crop.method == "mask" and holds(crop, at_mask)
    crop = the_crop(dataset, boxes=[[at_boxes]], faces=face)
    assert crop.method == "boxes" and holds(crop, at_boxes)
    crop = the_crop(dataset, faces=face)
    assert crop.method == "face" and holds(crop, at_face)
    crop = the_crop(dataset, faces=OneFace())
    assert crop.method == "focus" and holds(crop, (20, 60, 200, 240))
    assert the_crop(dataset, CropRules(width=256, height=256, method="center"), faces=face).method == "center"


def test_an_empty_mask_and_boxes_outside_say_nothing(dataset, tmp_path):
    masked = with_mask(dataset, mask_over(tmp_path, (0, 0, 0, 0)))
    assert the_crop(masked).method == "focus"
    assert the_crop(dataset, boxes=[[(2000, 0, 2100, 50)]]).method == "focus"
    assert the_crop(dataset, boxes=[[]]).method == "focus"


def test_an_even_picture_stays_at_the_centre(tmp_path):
    Image.new("RGB", SIZE, "grey").save(tmp_path / "a.png")
    assert the_crop(read_folder(tmp_path)).method == "center"


def test_boxes_must_be_one_list_a_picture(dataset):
    with pytest.raises(TrainingError, match="2 lists of boxes for 1 pictures"):
        crop_dataset(dataset, SQUARE, boxes=[[], []])


def test_overrides_come_before_everything(dataset, tmp_path):
    masked = with_mask(dataset, mask_over(tmp_path, (700, 100, 800, 200)))
    crop = the_crop(masked, overrides=read_overrides("a.png: left"))
    assert (crop.method, crop.left) == ("override", 0)


def test_a_subject_that_does_not_fit_is_said_to_be_cut_and_can_be_padded(dataset, tmp_path):
    box = (100, 20, 700, 280)
    masked = with_mask(dataset, mask_over(tmp_path, box))
    cut = the_crop(masked)
    assert cut.subject_kept == pytest.approx(0.5, abs=0.03) and cut.cuts_subject
    rules = CropRules(width=256, height=256, pad=True)
    (padded,) = crop_dataset(masked, rules).images
    assert holds(padded.crop, box) and padded.crop.top < 0 and padded.crop.subject_kept == 1
    assert padded.crop.width == padded.crop.height == pytest.approx(600, abs=4)
    pixels = training_pixels(padded)
    assert pixels.size == (256, 256) and pixels.getpixel((128, 2)) == (255, 255, 255)
    assert training_mask(padded).getpixel((128, 2)) == 0
    wide = crop_dataset(masked, CropRules(width=256, height=256, buckets=True)).images[0]
    assert wide.crop.subject_kept > cut.subject_kept, "a bucket is the other way out"


def test_zoom_closes_in_but_never_below_the_training_size(dataset, tmp_path):
    box = (700, 100, 760, 160)
    masked = with_mask(dataset, mask_over(tmp_path, box))
    rules = CropRules(width=64, height=64, zoom=True)
    crop = the_crop(masked, rules)
    assert holds(crop, box) and crop.width < 100
    assert the_crop(masked, replace(rules, width=256, height=256)).width == 256
    assert the_crop(dataset, rules).width == 300, "saliency alone is no reason to zoom"


@pytest.mark.parametrize(
    ("size", "rules", "bucket"),
    [
        ((300, 300), {}, (256, 256)),
        ((300, 300), {"enlarge": True}, (512, 512)),
        ((2000, 600), {}, (512, 512)),
        ((400, 620), {"height": 768}, (384, 576)),
        ((100, 80), {}, (64, 64)),
        ((700, 300), {"buckets": True}, (640, 256)),
        ((700, 300), {"buckets": True, "enlarge": True}, (768, 320)),
        ((900, 380), {"buckets": True, "bucket_step": 8, "enlarge": True}, (784, 328)),
    ],
)
def test_a_small_picture_is_only_enlarged_if_asked(tmp_path, size, rules, bucket):
    Image.new("RGB", size).save(tmp_path / "a.png")
    (image,) = crop_dataset(read_folder(tmp_path), CropRules(method="center", **rules)).images
    assert image.bucket == bucket
    if not rules.get("enlarge"):
        assert image.crop.width >= bucket[0] and image.crop.height >= bucket[1]


def test_masks_travel_with_the_crop(dataset, tmp_path):
    box = (600, 0, 900, 300)
    masked = with_mask(dataset, mask_over(tmp_path, box, size=SIZE))
    (image,) = crop_dataset(masked, SQUARE).images
    mask = training_mask(image)
    assert mask.size == image.bucket and mask.mode == "L"
    inside = Image.new("L", SIZE)
    inside.paste(255, box)
    crop = image.crop
    expected = inside.crop((crop.left, crop.top, crop.right, crop.bottom)).resize(image.bucket)
    assert np.asarray(mask, dtype=int).sum() == pytest.approx(np.asarray(expected, dtype=int).sum(), rel=0.02)
    assert training_mask(crop_dataset(dataset, SQUARE).images[0]) is None


def test_transparency_can_be_the_mask_and_lead_the_crop(tmp_path):
    picture = Image.new("RGBA", SIZE, (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((700, 100, 800, 200), (0, 0, 255, 255))
    picture.save(tmp_path / "a.png")
    dataset = read_folder(tmp_path, rules=ReadingRules(transparency_as_mask=True))
    crop = the_crop(dataset)
    assert crop.method == "mask" and holds(crop, (700, 100, 800, 200))
    assert read_folder(tmp_path).images[0].mask is None


def test_a_mask_file_beside_the_picture_is_its_mask_and_no_picture(tmp_path):
    Image.new("RGB", SIZE, "grey").save(tmp_path / "a.png")
    mask = Image.new("L", (90, 30))
    mask.paste(255, (60, 10, 70, 20))
    mask.save(tmp_path / "a-masklabel.png")
    dataset = read_folder(tmp_path)
    assert [image.path.name for image in dataset.images] == ["a.png"]
    assert dataset.images[0].mask.path.name == "a-masklabel.png"
    crop = the_crop(dataset)
    assert crop.method == "mask" and holds(crop, (600, 100, 700, 200))


def test_the_proof_sheet_shows_padding_methods_and_scores(dataset, tmp_path):
    masked = with_mask(dataset, mask_over(tmp_path, (100, 20, 700, 280)))
    sheets = [proof_sheet(crop_dataset(masked, CropRules(width=256, height=256, pad=pad))) for pad in (False, True)]
    assert sheets[0].tobytes() != sheets[1].tobytes()
    red = [int((np.asarray(sheet) == (255, 92, 84)).all(-1).sum()) for sheet in sheets]
    assert red[0] > 100 and red[1] == 0, "a cut subject has a red frame"


def test_a_head_gets_room_above_the_eyes(tmp_path):
    Image.new("RGB", (400, 900), "grey").save(tmp_path / "a.png")
    face = (150, 400, 250, 500)
    crop = the_crop(read_folder(tmp_path), faces=OneFace(face))
    assert crop.method == "face" and holds(crop, (115, 340, 285, 560)), "the head with hair and chin"
    eyes = 400 + 0.4 * 100
    assert (eyes - crop.top) / crop.height == pytest.approx(1 / 3, abs=0.08), "on the upper third"
