"""Latents are encoded once, and never stale."""

import dataclasses

import pytest
import torch
from PIL import Image

from tests.tiny_models import tiny_sd15
from tests.training_jobs import write_pictures
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import CropBox
from trainer_core.training.encode import draw_latents, encode_pictures, picture_size


@pytest.fixture
def encode(tmp_path, monkeypatch):
    """Encode a dataset; returns its latents and how many were made anew."""
    model, calls = tiny_sd15(), []
    original = model.vae.encode
    monkeypatch.setattr(model.vae, "encode", lambda *a, **k: calls.append(1) or original(*a, **k))

    def run(dataset, base="base", flip=False):
        calls.clear()
        latents = {}
        for _ in encode_pictures(model, base, dataset, tmp_path / "cache", "cpu", latents, flip=flip):
            pass
        return [latents[key] for key in sorted(latents)], len(calls)

    return run


@pytest.fixture
def dataset(tmp_path):
    return crop_dataset(read_folder(write_pictures(tmp_path / "set")), CropRules(width=64, height=64, method="center"))


def test_latents_are_kept_and_read_back_exactly(encode, dataset):
    first, made = encode(dataset)
    again, made_again = encode(dataset)
    assert (made, made_again) == (4, 0)
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.mean_CHW, other.mean_CHW) and torch.equal(one.std_CHW, other.std_CHW)


def test_an_edited_picture_a_new_crop_and_another_base_are_encoded_anew(encode, dataset):
    encode(dataset)
    image = dataset.images[0]
    Image.new("RGB", (96, 64), "red").save(image.path)
    edited = crop_dataset(read_folder(image.path.parent), CropRules(width=64, height=64, method="center"))
    assert encode(edited)[1] == 1
    moved = dataclasses.replace(image, crop=CropBox(left=0, top=0, right=64, bottom=64, method="center"))
    assert encode(edited.with_images((dataclasses.replace(moved, fingerprint=edited.images[0].fingerprint),)))[1] == 1
    assert encode(edited, base="another")[1] == 4


def test_a_damaged_entry_is_made_again(encode, dataset, tmp_path):
    first, _ = encode(dataset)
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    again, made = encode(dataset)
    assert made == 4 and torch.equal(first[0].mean_CHW, again[0].mean_CHW)


def test_each_visit_draws_from_the_distribution(encode, dataset):
    latents, _ = encode(dataset)
    one = draw_latents(latents[:2], 0.5, torch.Generator().manual_seed(1))
    two = draw_latents(latents[:2], 0.5, torch.Generator().manual_seed(2))
    assert one.shape == (2, 4, 8, 8) and not torch.equal(one, two)
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([(x.mean_CHW + x.std_CHW * n) * 0.5 for x, n in zip(latents[:2], noise, strict=True)])
    assert torch.allclose(one, expected)


def test_sdxl_is_told_the_true_crop(dataset):
    image = dataclasses.replace(
        dataset.images[0],
        width=400,
        height=200,
        crop=CropBox(left=100, top=20, right=260, bottom=180, method="focus"),
        bucket=(1024, 1024),
    )
    size = picture_size(image)
    assert (size.original, size.crop, size.target) == ((200, 400), (128, 640), (1024, 1024))


def test_mirrored_latents_are_of_the_mirrored_picture_and_kept_apart(encode, dataset):
    plain, made = encode(dataset)
    both, made_again = encode(dataset, flip=True)
    assert (made, made_again) == (4, 4), "the plain ones are there already"
    assert all(torch.equal(one.mean_CHW, other.mean_CHW) for one, other in zip(plain, both[::2], strict=True))
    for image in dataset.images:
        picture = Image.open(image.path).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.save(image.path)
    again = read_folder(dataset.images[0].path.parent)
    expected, _ = encode(crop_dataset(again, CropRules(width=64, height=64, method="center")))
    for one, other in zip(expected, both[1::2], strict=True):
        assert torch.equal(one.mean_CHW, other.mean_CHW)


def test_two_names_of_one_stem_never_share_a_latent(encode, tmp_path):
    for name, colour in (("a.png", "red"), ("a.jpg", "blue"), ("a.webp", "green")):
        (tmp_path / "twins").mkdir(exist_ok=True)
        Image.new("RGB", (96, 96), colour).save(tmp_path / "twins" / name)
    latents, made = encode(crop_dataset(read_folder(tmp_path / "twins"), CropRules(width=64, height=64)))
    assert made == 3
    assert not torch.equal(latents[0].mean_CHW, latents[1].mean_CHW)


def test_another_background_is_another_latent(encode, tmp_path):
    (tmp_path / "clear").mkdir()
    Image.new("RGBA", (96, 96), (255, 0, 0, 128)).save(tmp_path / "clear" / "a.png")
    rules = CropRules(width=64, height=64)
    on_white, on_black = (
        encode(crop_dataset(read_folder(tmp_path / "clear", rules=ReadingRules(background=colour)), rules))
        for colour in ("white", "black")
    )
    assert (on_white[1], on_black[1]) == (1, 1)
    assert not torch.equal(on_white[0][0].mean_CHW, on_black[0][0].mean_CHW)


def test_the_size_that_sdxl_is_told_of_a_mirrored_crop_counts_from_the_other_side(dataset):
    crop = CropBox(left=0, top=0, right=64, bottom=64, method="override")
    image = dataclasses.replace(dataset.images[0], crop=crop, bucket=(128, 128))
    assert picture_size(image).crop == (0, 0)
    assert picture_size(image, mirrored=True).crop == (0, 64), "32 of 96 pixels, at twice the size"
    padded = dataclasses.replace(image, crop=dataclasses.replace(crop, left=-16, top=-16, right=112, bottom=112))
    assert picture_size(padded).crop == (0, 0)
