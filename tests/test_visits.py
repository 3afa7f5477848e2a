"""What a picture shows from visit to visit: one of its captions, mirrored or not, only its mask; all of it resumed."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import pytest
import torch
from PIL import Image

from tests.training_jobs import small_job, train
from trainer_core.dataset.types import Mask
from trainer_core.progress import finished
from trainer_core.training.batches import draw_captions, draw_flips
from trainer_core.training.masks import read_masks
from trainer_core.training.objective import loss_per_picture
from trainer_core.training.trainer import Trainer


def lora_of(trainer: Trainer) -> bytes:
    return trainer.result().file.read_bytes()


def weights_of(lora: bytes) -> bytes:
    """A file without its header, which holds the plan."""
    return lora[8 + int.from_bytes(lora[:8], "little") :]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("visits")


@pytest.fixture(scope="module")
def varied(folder):
    """A job whose pictures have two captions and masks, flipped and masked."""
    job = small_job(folder, augment={"flip": True}, loss={"masked": True}, epochs=1)
    mask = Image.new("L", (96, 64))
    mask.paste(255, (0, 0, 48, 64))
    mask.save(folder / "mask.png")
    fingerprint = hashlib.blake2b((folder / "mask.png").read_bytes(), digest_size=16).hexdigest()
    shown = Mask(path=folder / "mask.png", fingerprint=fingerprint)
    images = tuple(replace(image, other_captions=("a second caption",), mask=shown) for image in job.dataset.images)
    return replace(job, dataset=job.dataset.with_images(images))


@pytest.fixture(scope="module")
def straight(varied, folder):
    """The LoRA of an uninterrupted run of that job."""
    return lora_of(train(varied, folder / "straight"))


def test_every_caption_is_drawn_and_the_draw_follows_from_seed_and_step(varied):
    images = [varied.dataset.images[0]] * 2
    drawn = [tuple(draw_captions(images, 1, step)) for step in range(200)]
    assert drawn == [tuple(draw_captions(images, 1, step)) for step in range(200)]
    counts = Counter(caption for pair in drawn for caption in pair)
    assert counts.keys() == set(images[0].captions) and min(counts.values()) > 140
    assert drawn != [tuple(draw_captions(images, 2, step)) for step in range(200)]
    plain = replace(images[0], other_captions=())
    assert draw_captions([plain], 1, 7) == [plain.caption]


def test_half_of_the_visits_are_mirrored_if_the_plan_says_so():
    assert not any(draw_flips(8, 0, 3, flip=False))
    drawn = [mirrored for step in range(100) for mirrored in draw_flips(4, 0, step, flip=True)]
    assert 150 < sum(drawn) < 250
    assert draw_flips(4, 0, 5, flip=True) == draw_flips(4, 0, 5, flip=True)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_varied_run_is_resumed_to_the_same_bytes(varied, straight, tmp_path, stop):
    assert not train(varied, tmp_path, until=stop).run.is_finished
    assert lora_of(train(varied, tmp_path)) == straight


@pytest.mark.parametrize("change", [{"augment": {"flip": False}}, {"loss": {"masked": False}}, "captions"])
def test_each_of_them_changes_the_lora(varied, straight, tmp_path, change):
    if change == "captions":
        images = tuple(replace(image, other_captions=()) for image in varied.dataset.images)
        other = replace(varied, dataset=varied.dataset.with_images(images))
    else:
        other = replace(varied, plan=type(varied.plan).from_json({**varied.plan.to_json(), **change}))
    assert weights_of(lora_of(train(other, tmp_path))) != weights_of(straight)


def test_captions_drawn_with_a_frozen_text_encoder_are_all_encoded(varied, tmp_path):
    plan = {**varied.plan.to_json(), "optimizer": {"learning_rate": 1e-3, "text_encoder_rate": 0.0}}
    job = replace(varied, plan=type(varied.plan).from_json(plan))
    assert train(job, tmp_path / "runs").run.is_finished


def test_the_mask_weighs_every_place_by_what_it_shows():
    predicted, target = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, :4] = 1
    mask[1, :, :, 2:] = 0.5
    expected = ((predicted.double() - target.double()) ** 2 * mask.double()).sum((1, 2, 3)) / (4 * 8 * 8)
    torch.testing.assert_close(loss_per_picture(predicted, target, mask).double(), expected, rtol=1e-5, atol=1e-6)
    whole = loss_per_picture(predicted, target)
    torch.testing.assert_close(loss_per_picture(predicted, target, torch.ones(2, 1, 8, 8)), whole)


def test_what_is_masked_pulls_at_no_weight(varied):
    predicted = torch.randn(1, 4, 8, 8, requires_grad=True)
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    loss_per_picture(predicted, torch.zeros(1, 4, 8, 8), mask).sum().backward()
    assert not predicted.grad[..., 4:].any() and predicted.grad[..., :4].all()


def test_the_latents_mask_is_the_crops_and_mirrored_with_it(varied):
    image = varied.dataset.images[0]
    assert image.crop.left == 16, "so 32 of the crop's 64 columns show the mask"
    images = (image, replace(image, mask=None))
    told, masks = list(read_masks(images, 8, flip=True)), finished(read_masks(images, 8, flip=True))
    assert list(masks) == [(0, False), (0, True), (1, False), (1, True)]
    mask = masks[0, False]
    assert mask.shape == (1, 8, 8)
    assert mask[0, :, :4].eq(255).all() and mask[0, :, 4:].eq(0).all()
    assert torch.equal(masks[0, True], mask.flip(-1))
    assert all(torch.equal(masks[1, mirrored], torch.full_like(mask, 255)) for mirrored in (False, True))
    assert [(report.stage, report.done, report.total) for report in told] == [("reading masks", 2, 2)]


def test_masks_are_read_a_few_at_a_time(varied):
    images = varied.dataset.images[:1] * 40
    told, masks = list(read_masks(images, 8, flip=False)), finished(read_masks(images, 8, flip=False))
    assert [report.done for report in told] == [16, 32, 40]
    assert list(masks) == [(place, False) for place in range(40)]
