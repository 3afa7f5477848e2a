"""The two-prompt test: which prompts are drawn, and what the pictures are found to be."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.demo import world
from trainer_core.picture_request import PictureRequest
from trainer_core.training.plan.validation import ValidationPlan
from trainer_core.training.two_prompts import PICTURES_EACH, TwoPromptResult, choose_prompts, compare_pictures

PLAN = ValidationPlan()
REQUEST = PictureRequest(prompt="", width=64, height=96, steps=9, seed=5)


def dataset(*captions: str, trigger_words=("mochi",)) -> Dataset:
    images = tuple(
        DatasetImage(
            path=Path(f"{i}.png"), width=64, height=64, caption=caption, caption_source="none", repeats=1,
            is_regularisation=False, fingerprint=f"{i}",
        )
        for i, caption in enumerate(captions)
    )  # fmt: skip
    return Dataset(images=images, trigger_words=trigger_words)


# --------------------------------------------------------------------------------------------------------- prompts


def test_captions_are_those_of_training_pictures_word_for_word():
    training = dataset(*(f"mochi, cat, scene {i}" for i in range(10)))
    prompts = choose_prompts(training, PLAN)
    assert len(prompts.sources) == PICTURES_EACH and set(prompts.sources) <= set(training.images)
    requests = prompts.requests(REQUEST)
    assert [request.prompt for request in requests[:PICTURES_EACH]] == [image.caption for image in prompts.sources]
    assert {(request.width, request.height, request.steps) for request in requests} == {(64, 96, 9)}


def test_the_trigger_is_drawn_with_several_seeds_and_the_tag_that_most_captions_have():
    training = dataset("mochi, Cat, hat", "mochi, cat, sea", "mochi, cat, sofa", "mochi, dog")
    triggers = choose_prompts(training, PLAN).requests(REQUEST)[PICTURES_EACH:]
    assert [request.prompt for request in triggers] == ["mochi, cat"] * PICTURES_EACH
    assert len({request.seed for request in triggers}) == PICTURES_EACH


def test_class_words_of_the_plan_come_before_what_the_captions_share():
    plan = ValidationPlan(class_words="a dog, small")
    assert choose_prompts(dataset("mochi, cat"), plan).trigger == "mochi, a dog, small"


def test_a_tag_on_half_of_the_captions_is_not_what_the_set_is_of():
    assert choose_prompts(dataset("mochi, cat", "mochi, dog"), PLAN).trigger == "mochi"


def test_a_set_without_trigger_and_shared_tag_draws_captions_only():
    prompts = choose_prompts(dataset("a cat", "a dog", "", trigger_words=()), PLAN)
    assert prompts.trigger == "" and len(prompts.requests(REQUEST)) == 2


def test_the_choice_follows_the_plans_seed():
    training = dataset(*(f"mochi, scene {i}" for i in range(30)))
    assert choose_prompts(training, PLAN) == choose_prompts(training, PLAN)
    assert len({choose_prompts(training, ValidationPlan(seed=seed)).sources for seed in range(5)}) > 1


# --------------------------------------------------------------------------------------------------------- pictures


def scenes(seed: int, count: int, **fixed) -> list[Image.Image]:
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        scene = world.random_scene(rng)
        fields = {name: getattr(scene, name) for name in ("object", "colour", "background", "radius", "x", "y")}
        found.append(world.draw(world.Scene(**fields | fixed), 64))
    return found


TRAINING = scenes(1, 12, object="cat", colour="orange")
SOURCES = TRAINING[:3]
BASE = scenes(2, 6)


def compared(captions, triggers) -> TwoPromptResult:
    return compare_pictures([*captions, *triggers], BASE, SOURCES, TRAINING)


def test_pictures_of_the_base_model_are_at_distance_one():
    found = compare_pictures(BASE, BASE, SOURCES, TRAINING)
    assert (found.caption_distance, found.trigger_distance) == (1, 1)


def test_the_sources_themselves_are_at_distance_zero_and_copies():
    found = compared(SOURCES, TRAINING[3:6])
    assert (found.caption_distance, found.trigger_distance, found.nearest) == (0, 0, 0)
    assert found.trigger_variety > 0.5


def test_new_pictures_of_the_subject_are_nearer_than_the_base_and_no_copies():
    found = compared(scenes(3, 3, object="cat", colour="orange"), scenes(4, 3, object="cat", colour="orange"))
    assert found.caption_distance < 1.2 and found.trigger_distance < 1
    assert 0.5 < found.nearest and 0.4 < found.trigger_variety < 1.8


def test_one_picture_again_and_again_has_no_variety():
    assert compared(SOURCES, [TRAINING[5]] * 3).trigger_variety == 0


def test_detail_and_size_do_not_count():
    small = [picture.resize((32, 32), Image.Resampling.BOX) for picture in SOURCES]
    assert compared(small, TRAINING[3:6]).caption_distance == pytest.approx(0, abs=0.02)


def test_distances_are_of_mean_colours_in_eight_by_eight_cells():
    def grey(level: int) -> Image.Image:
        return Image.new("RGB", (64, 64), (level, level, level))

    drawn, base = [grey(60), grey(10), grey(30)], [grey(100), grey(0), grey(200)]
    found = compare_pictures(drawn, base, sources=[grey(50)], training=[grey(0), grey(40)])
    assert found.caption_distance == pytest.approx(10 / 50)
    assert found.trigger_distance == pytest.approx((10 + 10) / (0 + 160))
    assert found.trigger_variety == pytest.approx(20 / 40)
    assert found.nearest == pytest.approx(10 / 40)


def test_without_a_trigger_only_captions_are_judged():
    found = compare_pictures(SOURCES, BASE[:3], SOURCES, TRAINING)
    assert (found.trigger_distance, found.trigger_variety, found.nearest) == (None, None, None)


def test_a_result_comes_back_from_json():
    found = compared(SOURCES, TRAINING[3:6])
    assert TwoPromptResult.from_json(found.to_json()) == found
