"""Latents are encoded once, and never stale."""

import contextlib
import dataclasses
import random

import pytest
import torch
from PIL import Image

from tests.tiny_models import tiny_sd15
from tests.training_jobs import write_pictures
from trainer_core.crop.crop import crop_dataset
from trainer_core.crop.rules import CropRules
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.rules import ReadingRules
from trainer_core.dataset.types import CropBox, Dataset
from trainer_core.demo import world
from trainer_core.errors import TrainingError
from trainer_core.training import encode as module
from trainer_core.training.encode import encode_pictures, picture_size
from trainer_core.training.latents import Latents, draw_latents


@pytest.fixture
def encode(tmp_path, monkeypatch):
    """Encode a dataset; returns its latents and how many were made anew."""
    model, calls = tiny_sd15(), []
    original = model.vae.encode
    monkeypatch.setattr(model.vae, "encode", lambda pixels: calls.append(len(pixels)) or original(pixels))

    def run(dataset, base="base", flip=False):
        calls.clear()
        latents = Latents(tmp_path / "cache")
        for _ in encode_pictures(model, base, dataset, latents, "cpu", flip=flip):
            pass
        return [latents[key] for key in sorted(latents)], sum(calls)

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


@pytest.fixture
def in_batches(monkeypatch):
    """As on a GPU with room for so many pictures at a time."""

    def choose(most):
        monkeypatch.setattr(module, "pictures_at_once", lambda vae, width, height, device: most)

    return choose


@pytest.fixture
def of_two_sizes(tmp_path):
    """Seven pictures in two buckets, in turns."""
    rng = random.Random(0)
    (tmp_path / "sizes").mkdir()
    for index in range(7):
        size = (96, 64) if index % 2 else (64, 96)
        world.draw(world.random_scene(rng), *size).save(tmp_path / "sizes" / f"{index}.png")
    images = read_folder(tmp_path / "sizes").images
    return Dataset(images=tuple(dataclasses.replace(image, bucket=(image.width, image.height)) for image in images))


def encoded(model, dataset, cache, *, flip=False, until=None):
    latents = Latents(cache)
    with contextlib.closing(encode_pictures(model, "base", dataset, latents, "cpu", flip=flip)) as steps:
        for report in steps:
            if report.done == until:
                break
    return latents


def test_pictures_of_one_size_are_encoded_together_as_they_are_alone(tmp_path, of_two_sizes, in_batches, monkeypatch):
    model, shapes = tiny_sd15(), []
    encode_alone = model.vae.encode
    alone = encoded(model, of_two_sizes, tmp_path / "alone", flip=True)
    monkeypatch.setattr(model.vae, "encode", lambda x: shapes.append(tuple(x.shape)) or encode_alone(x))
    in_batches(5)
    together = encoded(model, of_two_sizes, tmp_path / "together", flip=True)
    assert shapes == [(5, 3, 96, 64), (3, 3, 96, 64), (5, 3, 64, 96), (1, 3, 64, 96)]
    assert together.keys() == alone.keys() and len(alone) == 14
    for visit, latent in alone.items():
        assert torch.allclose(together[visit].mean_CHW, latent.mean_CHW, rtol=1e-4, atol=1e-5)
        assert torch.allclose(together[visit].std_CHW, latent.std_CHW, rtol=1e-4, atol=1e-5)
    names = [sorted(path.name for path in (tmp_path / cache).iterdir()) for cache in ("alone", "together")]
    assert names[0] == names[1]
    again = encoded(model, of_two_sizes, tmp_path / "again", flip=True)
    assert all(torch.equal(again[visit].mean_CHW, together[visit].mean_CHW) for visit in again)


def test_a_stop_leaves_what_was_encoded_and_the_rest_is_encoded_later(tmp_path, of_two_sizes, in_batches, monkeypatch):
    model, sizes = tiny_sd15(), []
    in_batches(2)
    stopped = encoded(model, of_two_sizes, tmp_path / "cache", until=4)
    assert len(stopped) == len(list((tmp_path / "cache").iterdir())) == 4
    encode = model.vae.encode
    monkeypatch.setattr(model.vae, "encode", lambda x: sizes.append(len(x)) or encode(x))
    whole = encoded(model, of_two_sizes, tmp_path / "cache")
    assert sum(sizes) == 3 and len(whole) == 7
    assert all(torch.equal(whole[visit].mean_CHW, stopped[visit].mean_CHW) for visit in stopped)


def test_copies_of_a_picture_are_encoded_once(encode, dataset, in_batches):
    in_batches(8)
    twice = dataset.with_images((*dataset.images, *dataset.images))
    latents, made = encode(twice)
    assert made == 4 and len(latents) == 8
    assert all(torch.equal(latents[i].mean_CHW, latents[i + 4].mean_CHW) for i in range(4))


def test_progress_never_falls_and_ends_with_all_pictures(tmp_path, of_two_sizes, in_batches):
    in_batches(3)
    model = tiny_sd15()
    encoded(model, of_two_sizes.with_images(of_two_sizes.images[:2]), tmp_path / "cache", flip=True)
    done = [
        (report.done, report.total)
        for report in encode_pictures(model, "base", of_two_sizes, Latents(tmp_path / "cache"), "cpu", flip=True)
    ]
    assert done == sorted(done) and done[0] == (1, 7) and done[-1] == (7, 7)


def test_a_picture_that_becomes_nan_is_named_and_none_of_its_batch_is_kept(tmp_path, of_two_sizes, in_batches):
    in_batches(4)
    model = tiny_sd15()
    encode = model.vae.encode

    def spoiled(pixels_BCHW):
        posterior = encode(pixels_BCHW)
        posterior.latent_dist.mean[1] = torch.nan
        return posterior

    model.vae.encode = spoiled
    with pytest.raises(TrainingError, match="2.png became NaN in the VAE"):
        encoded(model, of_two_sizes, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_picture_that_changed_meanwhile_is_refused(tmp_path, of_two_sizes):
    Image.new("RGB", (64, 96), "red").save(of_two_sizes.images[2].path)
    with pytest.raises(TrainingError, match="2.png has changed"):
        encoded(tiny_sd15(), of_two_sizes, tmp_path / "cache")
