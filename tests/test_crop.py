"""The crop keeps the subject, stays inside the picture, and has the shape that was asked for."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer_core.crop.crop import crop_dataset, crop_images
from trainer_core.crop.rules import CropRules
from trainer_core.crop.saliency import importance_map
from trainer_core.crop.window import center_window, focus_window, window_around
from trainer_core.crop.writing import write_crops
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import Dataset
from trainer_core.demo.world import BACKGROUNDS, COLOURS, OBJECTS, Scene, draw
from trainer_core.errors import TrainingError

ASPECTS = (1.0, 2 / 3, 3 / 2)
CANVASES = ((320, 200), (200, 320), (256, 256), (400, 150), (300, 225))


def composite(seed: int, noise: float = 12.0) -> tuple[Image.Image, tuple[float, ...]]:
    """A drawn object anywhere on a noisy, unevenly lit ground, and its box."""
    rng = random.Random(seed)
    width, height = CANVASES[seed % len(CANVASES)]
    side, radius = min(width, height), rng.uniform(0.13, 0.35)
    x, y = (rng.uniform(radius * side, length - radius * side) for length in (width, height))
    kind, colour, ground = (rng.choice(tuple(choices)) for choices in (OBJECTS, COLOURS, BACKGROUNDS))
    picture = draw(Scene(kind, colour, ground, radius, x / width, y / height), width, height)
    grain = np.random.default_rng(seed)
    light = Image.fromarray(grain.normal(0, 1, (height // 16, width // 16)).astype(np.float32))
    light = np.asarray(light.resize((width, height), Image.Resampling.BICUBIC))[..., None]
    pixels = np.asarray(picture) + noise * light + grain.normal(0, noise / 2, (height, width, 3))
    r = radius * side
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), (x - r, y - r, x + r, y + r)


def recall(window: tuple[int, ...], subject: tuple[float, ...]) -> float:
    """The part of the subject's box that lies in the window."""
    width = max(0, min(window[2], subject[2]) - max(window[0], subject[0]))
    height = max(0, min(window[3], subject[3]) - max(window[1], subject[1]))
    return width * height / ((subject[2] - subject[0]) * (subject[3] - subject[1]))


def put(folder: Path, name: str, picture: Image.Image, caption: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / name)
    if caption:
        (folder / name).with_suffix(".txt").write_text(caption)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    off_centre = Scene("cat", "red", "sky", 0.3, 0.16, 0.5)
    put(tmp_path / "set", "a.png", draw(off_centre, 320, 160), "cat, left")
    put(tmp_path / "set", "b.png", draw(Scene("cat", "red", "sky"), 160, 320))
    put(tmp_path / "set", "c.png", draw(Scene("cat", "red", "sky"), 160, 160))
    put(tmp_path / "set" / "3_more", "a.png", draw(Scene("ball", "red", "sky"), 200, 180))
    return read_folder(tmp_path / "set")


@pytest.mark.parametrize("aspect", [*ASPECTS, 4.0, 0.25, 1.001])
@pytest.mark.parametrize("size", [(64, 64), (640, 400), (400, 640), (1, 1), (300, 16), (16, 3000), (1919, 1079)])
def test_the_centre_window_is_the_largest_of_its_aspect(size, aspect):
    left, top, right, bottom = center_window(*size, aspect)
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert right - left == size[0] or bottom - top == size[1]
    if min(size) > 4:
        assert abs((right - left) - (bottom - top) * aspect) <= max(1, aspect)
    assert abs(left - (size[0] - right)) <= 1 and abs(top - (size[1] - bottom)) <= 1


@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize("seed", range(10))
def test_the_focus_window_has_the_size_of_the_centre_one_and_is_deterministic(seed, aspect):
    picture, _ = composite(seed)
    left, top, right, bottom = focus_window(picture, aspect)
    center = center_window(*picture.size, aspect)
    assert 0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height
    assert (right - left, bottom - top) == (center[2] - center[0], center[3] - center[1])
    assert focus_window(picture, aspect) == (left, top, right, bottom)


@pytest.mark.parametrize("seed", range(15))
def test_a_mirrored_picture_gives_the_mirrored_window(seed):
    picture, _ = composite(seed)
    for aspect in ASPECTS:
        left, top, right, bottom = focus_window(picture, aspect)
        sideways = focus_window(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), aspect)
        upside_down = focus_window(picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM), aspect)
        assert sideways == pytest.approx((picture.width - right, top, picture.width - left, bottom), abs=2)
        assert upside_down == pytest.approx((left, picture.height - bottom, right, picture.height - top), abs=2)


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [
        (0.16, 0.5, (400, 200)),
        (0.84, 0.5, (400, 200)),
        (0.5, 0.18, (200, 400)),
        (0.5, 0.82, (200, 400)),
    ],
)
def test_an_object_off_centre_is_kept_by_focus_and_cut_by_centre(x, y, size):
    picture = draw(Scene("star", "purple", "grey", 0.28, x, y), *size)
    subject = (x * size[0] - 56, y * size[1] - 56, x * size[0] + 56, y * size[1] + 56)
    assert recall(focus_window(picture, 1.0), subject) == 1
    assert recall(center_window(*size, 1.0), subject) < 0.5


@pytest.mark.parametrize("noise", [0.0, 12.0, 30.0])
def test_focus_keeps_more_of_the_subject_than_centre(noise):
    focus, center = [], []
    for seed in range(40):
        picture, subject = composite(seed, noise)
        for aspect in ASPECTS:
            window = center_window(*picture.size, aspect)
            if subject[2] - subject[0] <= window[2] - window[0] and subject[3] - subject[1] <= window[3] - window[1]:
                center.append(recall(window, subject))
                focus.append(recall(focus_window(picture, aspect), subject))
    bad = np.mean(np.array(focus) < 0.75)
    assert len(focus) > 100
    assert np.mean(focus) >= 0.97 and bad <= 0.02
    assert np.mean(center) <= 0.87
    assert min(np.array(focus) - np.array(center)) > -0.1, "never much worse than the centre"


def test_a_picture_without_a_subject_stays_in_the_middle():
    texture = np.random.default_rng(1).integers(90, 160, (150, 300, 3), dtype=np.uint8)
    for picture in (Image.new("RGB", (300, 150), "navy"), Image.fromarray(texture)):
        assert focus_window(picture, 1.0) == center_window(300, 150, 1.0)


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (5000, 16), (64, 64)])
def test_extreme_shapes_raise_nothing(size):
    picture = Image.new("RGB", size, "white")
    assert not importance_map(picture).any()
    assert focus_window(picture, 1.0) == center_window(*size, 1.0)


def test_the_importance_map_is_0_to_1_and_96_long_with_its_peak_on_the_subject():
    importance = importance_map(draw(Scene("ball", "red", "white", 0.2, 0.7, 0.5), 400, 200))
    assert importance.shape == (48, 96)
    assert importance.min() >= 0 and importance.max() <= 1
    row, column = np.unravel_index(importance.argmax(), importance.shape)
    assert 0.6 * 96 <= column <= 0.8 * 96 and 0.3 * 48 <= row <= 0.7 * 48


def test_any_map_can_place_the_window():
    mask = np.zeros((10, 40))
    mask[4:6, 32:36] = 1
    left, top, right, bottom = window_around(mask, 400, 100, 1.0)
    assert left <= 310 and right >= 370 and (top, bottom) == (0, 100), "the mask with room on both sides"
    assert window_around(np.zeros((10, 40)), 400, 100, 1.0) == center_window(400, 100, 1.0)


def test_crop_dataset_records_box_method_and_bucket(dataset):
    cropped = crop_dataset(dataset, CropRules(width=128, height=128, method="focus"))
    by_name = {image.path.relative_to(image.path.parents[1]).as_posix(): image for image in cropped.images}
    left = by_name["set/a.png"].crop
    assert (left.method, left.width, left.height) == ("focus", 160, 160)
    assert left.left <= 5
    assert by_name["set/b.png"].crop.method == "center"
    assert by_name["set/c.png"].crop.method == "whole"
    assert {image.bucket for image in cropped.images} == {(128, 128)}
    assert dataset.images[0].crop is None, "the given dataset stays as it was"


def test_center_never_opens_a_picture(dataset):
    for image in dataset.images:
        image.path.unlink()
    cropped = crop_dataset(dataset, CropRules(width=128, height=128, method="center"))
    assert {image.crop.method for image in cropped.images} == {"center", "whole"}
    with pytest.raises(TrainingError, match=r"a\.png"):
        crop_dataset(dataset, CropRules(width=128, height=128, method="focus"))


def test_buckets_follow_the_picture_and_cut_less(dataset):
    plain = crop_dataset(dataset, CropRules(width=128, height=128, method="center"))
    bucketed = crop_dataset(dataset, CropRules(width=128, height=128, method="center", buckets=True, bucket_step=16))
    assert {image.bucket for image in bucketed.images} > {(128, 128)}
    for before, after in zip(plain.images, bucketed.images, strict=True):
        assert after.crop.width * after.crop.height >= before.crop.width * before.crop.height
        assert after.crop.width / after.crop.height == pytest.approx(after.bucket[0] / after.bucket[1], rel=0.02)


def test_crop_images_yields_one_picture_at_a_time_in_order(dataset):
    images = crop_images(dataset, CropRules(width=64, height=96, method="focus"))
    dataset.images[1].path.unlink()
    assert next(images).path == dataset.images[0].path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "face"}, "no crop method 'face'"),
        ({"width": 100}, "training width is 100"),
        ({"height": 24}, "training height is 24"),
        ({"width": 8192}, "training width is 8192"),
        ({"buckets": True, "bucket_step": 5}, "bucket step is 5"),
        ({"buckets": True, "smallest_bucket_side": -64}, "smallest bucket side is -64"),
        ({"buckets": True, "largest_bucket_side": 0}, "largest bucket side is 0"),
        ({"buckets": True, "smallest_bucket_side": 512, "largest_bucket_side": 64}, "no bucket of 128 x 128"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(dataset, arguments, message):
    with pytest.raises(TrainingError, match=message):
        crop_images(dataset, CropRules(**{"width": 128, "height": 128, "method": "center", **arguments}))


def test_written_crops_are_what_training_sees_with_captions(dataset, tmp_path):
    cropped = crop_dataset(dataset, CropRules(width=128, height=64, method="focus"))
    written = list(write_crops(cropped, tmp_path / "out"))
    assert sorted(path.name for path in written) == ["a.png", "a_2.png", "b.png", "c.png"]
    back = read_folder(tmp_path / "out")
    assert {(image.width, image.height) for image in back.images} == {(128, 64)}
    captions = {image.path.name: image.caption for image in back.images}
    first_written = dict(zip([image.caption for image in dataset.images], written, strict=False))
    assert captions[first_written["cat, left"].name] == "cat, left"


def test_crops_of_both_kinds_are_kept_apart(dataset, tmp_path):
    first, *others = crop_dataset(dataset, CropRules(width=64, height=64)).images
    both = dataset.with_images((first, *(replace(image, is_regularisation=True) for image in others)))
    written = list(write_crops(both, tmp_path / "out"))
    assert [path.parent.name for path in written] == ["training", *["regularisation"] * len(others)]


def test_every_caption_of_a_picture_is_written(tmp_path):
    Image.new("RGB", (96, 64), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a red wall\na wall, red")
    pick = ReadingRules(caption_lines="pick")
    dataset = read_folder(tmp_path, rules=pick)
    list(write_crops(crop_dataset(dataset, CropRules(width=64, height=64)), tmp_path / "out"))
    assert read_folder(tmp_path / "out", rules=pick).images[0].captions == ("a red wall", "a wall, red")


@pytest.mark.parametrize(
    ("stems", "expected"),
    [
        (["a", "A", "a"], ["a", "A_2", "a_3"]),
        (["é", "e\u0301"], ["é", "e\u0301_2"]),
        (["a:b", "a?b"], ["a_b", "a_b_2"]),
        ([" ", "  "], ["picture", "picture_2"]),
    ],
    ids=ascii,
)
def test_crops_get_names_that_no_disk_takes_for_one(tmp_path, stems, expected):
    entries = []
    for number, stem in enumerate(stems):
        path = tmp_path / str(number) / f"{stem}.png"
        path.parent.mkdir()
        Image.new("RGB", (64, 64), "red").save(path)
        entries += read_folder(path.parent).images
    written = list(write_crops(Dataset(images=tuple(entries)), tmp_path / "out"))
    assert [path.stem for path in written] == expected


def test_crops_are_never_written_over_anything(dataset, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    for taken in (tmp_path / "out", tmp_path / "out" / "mine.txt"):
        with pytest.raises(TrainingError, match="is not empty"):
            write_crops(dataset, taken)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_buckets_of_small_pictures_go_in_small_steps(tmp_path):
    Image.new("RGB", (96, 64), "red").save(tmp_path / "a.png")
    (image,) = crop_dataset(read_folder(tmp_path), CropRules(width=32, height=32, method="center", buckets=True)).images
    assert image.bucket == (40, 24) and image.bucket[0] % 8 == 0
