"""Sample prompts: kohya's lines become requests, and what cannot be read is refused by its line."""

from __future__ import annotations

import pytest

from trainer_core.errors import TrainingError
from trainer_core.fields import read_fields
from trainer_core.picture_request import PictureRequest
from trainer_core.training.plan.samples import SamplePlan

DEFAULTS = SamplePlan(negative="blurry", width=640, height=448, seed=5, steps=12, cfg=6.5, sampler="ddim")


def request_of(line: str) -> PictureRequest:
    (request,) = read_fields(SamplePlan, {"prompts": line, "width": 640, "seed": 5}, "samples").requests()
    return request


def test_a_bare_prompt_takes_every_setting_from_the_plan():
    (request,) = SamplePlan(prompts="red cat", **fields_of(DEFAULTS)).requests()
    assert request == PictureRequest(
        prompt="red cat", negative="blurry", width=640, height=448, seed=5, steps=12, cfg=6.5, sampler="ddim"
    )


def fields_of(plan: SamplePlan) -> dict:
    names = ("negative", "width", "height", "seed", "steps", "cfg", "sampler")
    return {name: getattr(plan, name) for name in names}


def test_a_line_overrides_every_setting_in_kohyas_words():
    request = request_of("red cat, sofa --n ugly, bad --w 512 --h 768 --d 42 --s 28 --l 4.5 --ss dpmpp_2m_sde_karras")
    assert request == PictureRequest(
        prompt="red cat, sofa", negative="ugly, bad", width=512, height=768, seed=42, steps=28, cfg=4.5,
        sampler="dpmpp_2m_sde_karras",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "prompt", "negative"),
    [
        ("black-and-white cat - sofa", "black-and-white cat - sofa", ""),
        ("a--b", "a--b", ""),
        ("cat --n", "cat", ""),
        ("--n ugly", "", "ugly"),
        ("  cat   --n   ugly  ", "cat", "ugly"),
        ("猫, 可爱 --n 模糊", "猫, 可爱", "模糊"),
    ],
)
def test_only_a_double_dash_after_a_space_begins_a_setting(line, prompt, negative):
    assert (request_of(line).prompt, request_of(line).negative) == (prompt, negative)


def test_empty_lines_and_comments_are_left_out_and_the_order_is_kept():
    plan = SamplePlan(prompts="cat\n\n# dog\n   \n  # bird\nfish --d 3\r\ncow")
    assert [(request.prompt, request.seed) for request in plan.requests()] == [("cat", 0), ("fish", 3), ("cow", 0)]
    assert SamplePlan().requests() == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cat --x 3", "line 3: there is no --x. Use --n negative"),
        ("cat --g 3", "line 3: there is no --g"),
        ("cat -- w 512", "line 3: there is no --. Use"),
        ("cat --w wide", "line 3: --w (width) must be a whole number, got 'wide'"),
        ("cat --s 2.5", "line 3: --s (steps) must be a whole number"),
        ("cat --l", "line 3: --l (cfg) must be a number, got ''"),
        ("cat --w 500", "line 3: the width must be a multiple of 8"),
        ("cat --h 8", "line 3: the height must be"),
        ("cat --ss k_euler", "line 3: there is no sampler 'k_euler'. Choose one of: euler"),
        ("cat --d -1", "line 3: the seed must be between 0"),
        ("cat --l nan", "line 3: cfg must be between 1 and 100"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_by_its_number(line, words):
    with pytest.raises(TrainingError) as refusal:
        SamplePlan(prompts=f"dog\n# a comment\n{line}")
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 500}, "the width must be a multiple of 8"),
        ({"steps": 0}, "steps must be between 1 and 1000"),
        ({"every_epochs": -1}, "sample every epochs must be 0 or more"),
        ({"sampler": "heun"}, "there is no sampler"),
    ],
)
def test_settings_are_checked_even_without_prompts(change, words):
    with pytest.raises(TrainingError, match=words):
        SamplePlan(**change)


@pytest.mark.parametrize(
    ("every", "before_first", "due"),
    [(1, True, [0, 1, 2, 3, 4, 5]), (2, False, [2, 4, 5]), (3, True, [0, 3, 5]), (0, True, [0]), (0, False, [])],
)
def test_samples_are_due_every_n_epochs_after_the_last_and_before_the_first_step(every, before_first, due):
    plan = SamplePlan(every_epochs=every, before_first=before_first)
    assert [epoch for epoch in range(6) if plan.is_due(epoch, 5)] == due
