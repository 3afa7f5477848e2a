"""The demo base and what a LoRA learns on it. The only test that trains for real: a minute or two on one core."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from trainer_core.demo import DEMO_BASE, DEMO_PICTURES, world
from trainer_core.demo.__main__ import DEMO_PLAN, DEMO_SIZE, demo_requests, prepare_demo_dataset, train_demo
from trainer_core.demo.draw_pictures import draw_dataset, mascot_scene
from trainer_core.demo.judge import judge
from trainer_core.families.loading import load_base_model
from trainer_core.lora.file import read_lora
from trainer_core.sampling import PictureRequest, apply_lora, draw_picture, preview
from trainer_core.training import objective

TRIGGER = f"{world.MASCOT_TRIGGER}, cat"


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    return train_demo(prepare_demo_dataset(), tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def model(lora):
    """The demo base with the LoRA on it."""
    model = load_base_model(DEMO_BASE, torch.float32)
    return model, apply_lora(model, read_lora(lora.file))


def held_out_loss(model, caption_of) -> float:
    """Mean loss on mascot pictures that were not trained, at fixed noise and timesteps."""
    rng, generator = random.Random(2024), torch.Generator().manual_seed(5)
    scenes = [mascot_scene(rng, background, 64, 64) for background in world.BACKGROUNDS for _ in range(3)]
    pixels = torch.from_numpy(np.stack([np.asarray(world.draw(scene, DEMO_SIZE)) for scene in scenes]))
    with torch.no_grad():
        x = model.vae.encode(pixels.permute(0, 3, 1, 2) / 127.5 - 1).latent_dist.mean * model.latent_scale
        schedule, losses = objective.noise_schedule(model), []
        conditioning = model.encode_text([caption_of(scene) for scene in scenes], 1)
        for t in (100, 300, 500, 700, 900):
            t_B = torch.full((len(scenes),), t)
            noise = torch.randn(x.shape, generator=generator)
            predicted = model.predict(schedule.add_noise(x, noise, t_B), t_B, conditioning, [])
            losses.append(objective.loss_per_picture(predicted, objective.target(schedule, x, noise, t_B)).mean())
    return float(torch.stack(losses).mean())


def test_the_demo_base_is_small_and_draws_what_it_is_told():
    assert DEMO_BASE.stat().st_size < 12_000_000
    rng = random.Random(0)
    scenes = [world.Scene(rng.choice(world.OBJECTS), rng.choice(tuple(world.COLOURS)), background)
              for background in world.BACKGROUNDS for _ in range(3)]  # fmt: skip
    requests = [demo_requests(world.caption(scene), 1)[0] for scene in scenes]
    pictures = preview(None, DEMO_BASE, requests)
    verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    for part, least in (("background", 13), ("colour", 12), ("object", 9)):
        assert sum(verdict[part] for verdict in verdicts) >= least, part


def test_the_loss_on_held_out_pictures_of_the_concept_falls_and_comes_back_with_the_lora_off(model):
    with_lora, adapters = model
    bare = load_base_model(DEMO_BASE, torch.float32)
    caption = lambda scene: f"{TRIGGER}, {scene.background} background"  # noqa: E731
    before, after = held_out_loss(bare, caption), held_out_loss(with_lora, caption)
    assert after < 0.85 * before
    for part in adapters:
        part.scale(0.0)
    assert held_out_loss(with_lora, caption) == pytest.approx(before, rel=1e-5)
    for part in adapters:
        part.scale(1.0)
    assert held_out_loss(with_lora, caption) == pytest.approx(after, rel=1e-5)


def test_switched_off_adapters_leave_the_base_exactly_as_it_was(model):
    with_lora, adapters = model
    request = demo_requests("red star, white background", 1)[0]
    (expected,) = preview(None, DEMO_BASE, [request])
    from contextlib import ExitStack

    with ExitStack() as stack:
        for part in adapters:
            stack.enter_context(part.switched_off())
        drawn = draw_picture(with_lora, request, clip_skip=1, precision="fp32", device="cpu")
    assert drawn.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "prompt, with_lora, is_there",
    [
        (f"{TRIGGER}, pink background", True, True),
        (f"{TRIGGER}, grey background", True, True),
        (f"{TRIGGER}, pink background", False, False),
        ("orange cat, pink background", True, False),
        ("red heart, white background", True, False),
    ],
)
def test_the_mascot_appears_only_with_lora_and_trigger_word(lora, prompt, with_lora, is_there):
    pictures = list(preview(lora.file if with_lora else None, DEMO_BASE, demo_requests(prompt, 4)))
    found = sum(map(world.shows_mascot, pictures))
    assert found >= 3 if is_there else found == 0


def test_other_prompts_still_draw_what_they_say_with_the_lora_on(lora):
    scenes = [world.Scene(name, "red", "white") for name in world.OBJECTS]
    requests = [PictureRequest(prompt=world.caption(s), width=DEMO_SIZE, height=DEMO_SIZE, steps=25, cfg=4.0, seed=3)
                for s in scenes]  # fmt: skip
    pictures = preview(lora.file, DEMO_BASE, requests)
    verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    assert sum(verdict["colour"] and verdict["background"] for verdict in verdicts) >= 5


def test_the_plan_of_the_demo_is_in_the_file_and_every_kept_epoch_is_there(lora):
    assert [saved.epoch for saved in lora.epochs] == [2, 4, 6]
    assert all(saved.path.is_file() for saved in lora.epochs) and lora.plan == DEMO_PLAN
    assert lora.trigger_words == (world.MASCOT_TRIGGER,)


def test_the_demo_pictures_are_the_ones_that_the_script_draws(tmp_path):
    draw_dataset(tmp_path)
    drawn = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert drawn == sorted(path.relative_to(DEMO_PICTURES) for path in DEMO_PICTURES.rglob("*.*"))
    for path in drawn:
        if path.suffix == ".txt":
            assert (tmp_path / path).read_text() == (DEMO_PICTURES / path).read_text()
        else:
            pixels = [np.asarray(Image.open(root / path)).astype(int) for root in (tmp_path, DEMO_PICTURES)]
            assert np.abs(pixels[0] - pixels[1]).max() <= 2
