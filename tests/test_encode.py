"""Latents are encoded once, and never stale."""

import dataclasses

import pytest
import torch
from PIL import Image

from tests.tiny_models import tiny_sd15
from tests.training_jobs import write_pictures
from trainer_core.crop.crop import crop_dataset
from trainer_core.dataset.folder import read_folder
from trainer_core.dataset.types import CropBox
from trainer_core.training.encode import draw_latents, encode_pictures, picture_size


@pytest.fixture
def encode(tmp_path, monkeypatch):
    """Encode a dataset; returns its latents and how many were made anew."""
    model, calls = tiny_sd15(), []
    original = model.vae.encode
    monkeypatch.setattr(model.vae, "encode", lambda *a, **k: calls.append(1) or original(*a, **k))

    def run(dataset, base="base"):
        calls.clear()
        latents = []
        for _ in encode_pictures(model, base, dataset, tmp_path / "cache", "cpu", latents):
            pass
        return latents, len(calls)

    return run


@pytest.fixture
def dataset(tmp_path):
    return crop_dataset(read_folder(write_pictures(tmp_path / "set")), width=64, height=64, method="center")


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
    edited = crop_dataset(read_folder(image.path.parent), width=64, height=64, method="center")
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
