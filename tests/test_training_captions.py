"""Captions as they are trained: tags shuffled and left out, wildcards chosen, the same however a run came to a step."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest
import torch

from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.dataset.types import DatasetImage
from trainer_core.errors import TrainingError
from trainer_core.families.base_model import BaseModel
from trainer_core.families.loading import load_base_model
from trainer_core.families.prompts import PromptReading
from trainer_core.training import caption_encodings
from trainer_core.training.batches import draw_captions
from trainer_core.training.caption_encodings import CaptionEncodings
from trainer_core.training.captions import VisitCaptions, choose_wildcards, with_brackets_whole
from trainer_core.training.plan.captions import CaptionPlan
from trainer_core.training.plan.text import TextPlan

TAGS = "mochi, red cat, hat, ball, sky"
PROSE = "mochi is a small red cat that sits on a mat, looking at the ball."


def image(caption: str, *others: str) -> DatasetImage:
    return DatasetImage(
        path=Path("a.png"), width=64, height=64, caption=caption, caption_source="a.txt", repeats=1,
        is_regularisation=False, fingerprint="0" * 32, other_captions=others,
    )  # fmt: skip


def visits(
    *, triggers: tuple[str, ...] = ("mochi",), weights: bool = False, seed: int = 5, **changes: float | str | bool
) -> VisitCaptions:
    return VisitCaptions(plan=CaptionPlan(**changes), trigger_words=triggers, weights=weights, seed=seed)


def seen(captions: VisitCaptions, *images: DatasetImage, steps: int = 400) -> list[str]:
    return [caption for step in range(steps) for caption in captions.of_batch(images, step)]


def tags_of(caption: str) -> list[str]:
    return caption.split(", ") if caption else []


# ------------------------------------------------------------------------------------------- nothing switched on


@pytest.mark.parametrize("caption", [TAGS, PROSE, "", "a ,, b,", "{a|b} ||| c", "two  spaces , (x:1.2)"])
def test_a_plan_without_changes_shows_captions_to_the_letter(caption):
    assert set(seen(visits(), image(caption), steps=20)) == {caption}


def test_the_line_that_is_picked_of_several_stays_the_same_whatever_else_is_drawn():
    images = [image("a, b", "c, d"), image("e, f", "g, h", "i, j")]
    for step in range(50):
        expected = draw_captions(images, 5, step)
        assert visits().of_batch(images, step) == expected
        drawn = visits(shuffle=True, wildcards=True).of_batch(images, step)
        assert [sorted(tags_of(caption)) for caption in drawn] == [tags_of(caption) for caption in expected]


# ----------------------------------------------------------------------------------------------------- shuffling


def test_every_order_of_the_moving_tags_comes_equally_often_and_the_trigger_stays_first():
    counts = Counter(seen(visits(shuffle=True), image("mochi, a, b, c"), steps=1200))
    assert set(counts) == {", ".join(("mochi", *order)) for order in permutations("abc")}
    assert min(counts.values()) > 150


@pytest.mark.parametrize(
    ("caption", "changes", "kept"),
    [
        (TAGS, {}, ["mochi"]),
        (TAGS, {"keep_first": 1}, ["mochi"]),
        (TAGS, {"keep_first": 3}, ["mochi", "red cat", "hat"]),
        (TAGS, {"triggers": ("mochi", "Red_Cat")}, ["mochi", "red cat"]),
        (TAGS, {"triggers": ("ball",)}, []),
        (TAGS, {"triggers": ("moch",)}, []),
        (TAGS, {"triggers": ()}, []),
        ("mochi sitting, hat, ball, sky", {}, ["mochi sitting"]),
        (TAGS, {"keep_first": 100}, tags_of(TAGS)),
    ],
)
def test_what_stays_in_front(caption, changes, kept):
    drawn = [tags_of(text) for text in seen(visits(shuffle=True, tag_dropout=0.3, **changes), image(caption))]
    assert all(tags[: len(kept)] == kept for tags in drawn)
    moving = [tag for tag in tags_of(caption) if tag not in kept]
    assert {tags[len(kept)] for tags in drawn if len(tags) > len(kept)} == set(moving)


@pytest.mark.parametrize(
    ("caption", "kept", "moving", "ending"),
    [
        ("x, y ||| a, b, c", ["x", "y"], {"a", "b", "c"}, []),
        ("x|||a, b|||y, z", ["x"], {"a", "b"}, ["y", "z"]),
        ("x, |||, a, b, |||, z ||| w", ["x"], {"a", "b"}, ["z", "w"]),
        ("||| a, b ||| z", [], {"a", "b"}, ["z"]),
        ("a cat sits on the mat by the door ||| a, b", ["a cat sits on the mat by the door"], {"a", "b"}, []),
        ("x ||| a cat sits on a mat, by the old green door ||| z",
         ["x", "a cat sits on a mat", "by the old green door"], set(), ["z"]),
    ],
)  # fmt: skip
def test_the_separator_says_what_stays_and_is_never_shown(caption, kept, moving, ending):
    plan = {"keep_separator": "|||", "keep_first": 7}
    drawn = [tags_of(text) for text in seen(visits(shuffle=True, **plan), image(caption), steps=60)]
    for tags in drawn:
        assert tags[: len(kept)] == kept and tags[len(tags) - len(ending) :] == ending
        assert set(tags[len(kept) : len(tags) - len(ending)]) == moving
    assert len({tuple(tags) for tags in drawn}) > 1 or not moving
    unshuffled = visits(**plan).of_batch([image(caption)], 3)[0]
    assert "|" not in unshuffled and sorted(tags_of(unshuffled)) == sorted(drawn[0])


def test_a_caption_without_the_separator_goes_by_the_count():
    drawn = seen(visits(shuffle=True, keep_separator="|||", keep_first=2), image(TAGS))
    assert {tuple(tags_of(text)[:2]) for text in drawn} == {("mochi", "red cat")}


@pytest.mark.parametrize(
    "caption",
    [
        PROSE,
        "A red cat, sitting there on the mat.",
        "mochi, a photo of a cat on a mat",
        "in one corner of the garden a tree, red.",
    ],
)
def test_sentences_are_never_shuffled_nor_shortened(caption):
    everything = visits(shuffle=True, tag_dropout=0.5, keep_first=1)
    assert set(seen(everything, image(caption), steps=100)) == {caption}


@pytest.mark.parametrize(
    ("tags", "whole"),
    [
        (["a", "(b", "c:1.2)", "d"], ["a", "(b, c:1.2)", "d"]),
        (["((a", "b)", "c)", "d"], ["((a, b), c)", "d"]),
        ([r"fate \(a", r"b\)", "c"], [r"fate \(a", r"b\)", "c"]),
        (["a", "(b", "c"], ["a", "(b", "c"]),
        (["a)", "(b", "c)"], ["a)", "(b, c)"]),
        ([], []),
    ],
)
def test_commas_within_brackets_of_weights_separate_nothing(tags, whole):
    assert with_brackets_whole(tags) == whole


def test_brackets_are_whole_tags_only_where_they_are_weights():
    caption = "a, (b, c:1.2), d"
    assert all("(b, c:1.2)" in text for text in seen(visits(shuffle=True, weights=True), image(caption), steps=50))
    assert any("(b, c:1.2)" not in text for text in seen(visits(shuffle=True), image(caption), steps=50))


# ---------------------------------------------------------------------------------------------- what is left out


def test_tags_are_left_out_in_the_share_that_is_asked_for_and_kept_ones_never():
    caption = "mochi, a, b ||| c, d, e, f, g ||| z"
    drawn = [tags_of(text) for text in seen(visits(tag_dropout=0.3, keep_separator="|||"), image(caption), steps=2000)]
    counts = Counter(tag for tags in drawn for tag in tags)
    assert all(counts[tag] == 2000 for tag in ("mochi", "a", "b", "z"))
    assert all(1320 < counts[tag] < 1480 for tag in "cdefg")
    in_order = [[tag for tag in tags_of(caption.replace(" |||", ",")) if tag in tags] for tags in drawn]
    assert drawn == in_order
    assert seen(visits(tag_dropout=1), image(TAGS), steps=5) == ["mochi"] * 5
    both = Counter(("c" in tags, "d" in tags) for tags in drawn)
    assert 900 < both[True, True] < 1060, "each tag by a draw of its own"


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.25, 430, 570), (1, 2000, 2000)])
def test_captions_are_left_out_in_the_share_that_is_asked_for(share, least, most):
    drawn = seen(visits(caption_dropout=share), image(TAGS), image(PROSE), steps=1000)
    assert least <= drawn.count("") <= most
    assert set(drawn) - {""} == ({TAGS, PROSE} if share < 1 else set())


# ----------------------------------------------------------------------------------------------------- wildcards


@pytest.mark.parametrize(
    ("caption", "results"),
    [
        ("{red|blue} hat, cat", {"red hat, cat", "blue hat, cat"}),
        ("{a, b|c}, d", {"a, b, d", "c, d"}),
        ("{a|{b|c}}, {d|e}", {f"{x}, {y}" for x in "abc" for y in "de"}),
        ("{red |}cat", {"red cat", "cat"}),
        ("a, {b|}, c", {"a, b, c", "a, c"}),
        ("{a}, {b, }{", {"{a}, {b, }{"}),
        ("{o}|{o}", {"{o}|{o}"}),
        ("a {big {red}|small} cat", {"a {big {red}|small} cat"}),
        ("A {young|old} cat sits on the mat.", {"A young cat sits on the mat.", "A old cat sits on the mat."}),
    ],
)
def test_wildcards_are_chosen_anew_at_every_visit(caption, results):
    counts = Counter(seen(visits(wildcards=True), image(caption), steps=300))
    assert set(counts) == results
    assert min(counts.values()) > 20
    assert set(seen(visits(), image(caption), steps=20)) == {caption}


def test_all_choices_come_equally_often():
    counts = Counter(choose_wildcards("{a|b|c|d}", random.Random(number)) for number in range(2000))
    assert set(counts) == set("abcd") and min(counts.values()) > 420


def test_a_long_row_of_braces_takes_no_time():
    assert choose_wildcards("{" * 20_000 + "|" * 20_000, random.Random(0)).startswith("{")


# ------------------------------------------------------------------------------------------- drawn, and the same

EVERYTHING = {"shuffle": True, "caption_dropout": 0.1, "tag_dropout": 0.2, "wildcards": True, "keep_separator": "|||"}


def test_the_draws_follow_from_seed_step_and_position_alone():
    images = [image(TAGS + ", {x|y}")] * 3
    straight = [visits(**EVERYTHING).of_batch(images, step) for step in range(100)]
    state = random.getstate(), torch.random.get_rng_state()
    assert [visits(**EVERYTHING).of_batch(images, step) for step in reversed(range(100))] == straight[::-1]
    assert random.getstate() == state[0] and torch.equal(torch.random.get_rng_state(), state[1])
    assert [visits(seed=6, **EVERYTHING).of_batch(images, step) for step in range(100)] != straight
    first, second, _ = zip(*straight, strict=True)
    assert first != second and len(set(first)) > 60
    assert all(visits(**EVERYTHING).of_batch(images[:2], step) == straight[step][:2] for step in range(100))


@pytest.mark.parametrize(
    "changes", [{"shuffle": True}, {"tag_dropout": 0.5}, {"caption_dropout": 0.5}, {"wildcards": True}]
)
def test_every_draw_differs_from_step_to_step_and_from_position_to_position(changes):
    images = [image(TAGS + ", {x|y}")] * 2
    first, second = zip(*(visits(**changes).of_batch(images, step) for step in range(50)), strict=True)
    assert first != second and len(set(first)) > 1 and len(set(second)) > 1


def test_switching_one_draw_on_changes_no_other():
    images = [image(TAGS)]
    shuffled = seen(visits(shuffle=True), *images)
    dropped = seen(visits(shuffle=True, caption_dropout=0.3), *images)
    assert all(text in ("", other) for text, other in zip(dropped, shuffled, strict=True)) and "" in dropped


def test_no_draw_tells_another():
    drawn = Counter(seen(visits(tag_dropout=0.5, caption_dropout=0.5), image("mochi, a"), steps=1000))
    assert 200 < drawn["mochi"] < 300 and 200 < drawn["mochi, a"] < 300, "a tag goes whether or not the caption does"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keep_first": -1}, "keep first"),
        ({"keep_first": 101}, "keep first"),
        ({"caption_dropout": 1.1}, "caption dropout"),
        ({"caption_dropout": float("nan")}, "caption dropout"),
        ({"tag_dropout": -0.1}, "tag dropout"),
        ({"keep_separator": ","}, "keep separator"),
        ({"keep_separator": " "}, "keep separator"),
        ({"keep_separator": "||| "}, "keep separator"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_one_line(changes, words):
    with pytest.raises(TrainingError, match=words) as refusal:
        CaptionPlan(**changes)
    assert "\n" not in str(refusal.value)


# ---------------------------------------------------------------------------------------------- known beforehand


@pytest.mark.parametrize(
    ("changes", "captions", "known"),
    [
        ({}, (TAGS, PROSE), [TAGS, PROSE]),
        ({"caption_dropout": 0.1}, (TAGS,), [TAGS, ""]),
        ({"keep_separator": "|||"}, ("a ||| b",), ["a, b"]),
        ({"shuffle": True}, (PROSE, "mochi, a", ""), [PROSE, "mochi, a", ""]),
        ({"shuffle": True}, (PROSE, "mochi, a, b"), None),
        ({"tag_dropout": 0.1}, ("mochi, a",), None),
        ({"tag_dropout": 0.1}, ("mochi", PROSE), ["mochi", PROSE]),
        ({"wildcards": True}, ("a {b}",), ["a {b}"]),
        ({"wildcards": True}, ("{a|b}",), None),
        ({}, ("{a|b}",), ["{a|b}"]),
    ],
)
def test_captions_are_known_ahead_where_no_draw_changes_their_words(changes, captions, known):
    drawing = visits(**changes)
    images = [image(*captions)]
    assert drawing.known(images) == known
    if known is not None:
        assert set(seen(drawing, *images)) == set(known)


# ------------------------------------------------------------------------------------------- captions as encoded


@pytest.fixture(scope="module", params=[tiny_sd15, tiny_sdxl])
def checkpoint(request, tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("base") / "m.safetensors", request.param())


MANY_TAGS = "mochi, (red cat:1.3), hat, ball, sky, tree, house, sun"
IMAGES = (image(MANY_TAGS), image("a red cat, " * 30))


def encodings(model: BaseModel, captions: VisitCaptions, *, steps: int = 200, text: TextPlan) -> CaptionEncodings:
    made = CaptionEncodings(
        model, text, "cpu", lambda step: captions.of_batch(IMAGES, step),
        known=captions.known(IMAGES), total_steps=steps, batch_size=len(IMAGES),
    )  # fmt: skip
    for _ in made.prepare():
        pass
    return made


def same(one, other) -> bool:
    pooled = (one.pooled_BP, other.pooled_BP)
    return torch.equal(one.states_BLD, other.states_BLD) and (pooled == (None, None) or torch.equal(*pooled))


def test_known_captions_are_encoded_ahead_and_the_encoders_let_go(checkpoint):
    model = load_base_model(checkpoint, torch.float32)
    expected = model.encode_text([entry.caption for entry in IMAGES], 1)
    made = encodings(model, visits(), text=TextPlan())
    assert model.text_encoders == []
    assert same(made.of_step(0), expected) and same(made.of_step(199), expected)


def test_more_captions_than_are_kept_are_encoded_in_windows(checkpoint, monkeypatch):
    model = load_base_model(checkpoint, torch.float32)
    ahead = encodings(model, visits(), text=TextPlan())
    monkeypatch.setattr(caption_encodings, "MOST_KEPT", 1)
    monkeypatch.setattr(caption_encodings, "_AHEAD", 4)
    model = load_base_model(checkpoint, torch.float32)
    made = encodings(model, visits(), text=TextPlan())
    assert model.text_encoders and made._rows == {}
    for step in (0, 1, 2, 150):
        assert same(made.of_step(step), ahead.of_step(step)) and len(made._rows) == 2
    monkeypatch.setattr(caption_encodings, "MOST_KEPT", 2)
    encodings(model, visits(), text=TextPlan())
    assert model.text_encoders == [], "two different captions are not more than two"


def test_captions_left_out_are_encoded_as_empty_ones(checkpoint):
    model = load_base_model(checkpoint, torch.float32)
    empty = model.encode_text(["", ""], 1)
    assert same(encodings(model, visits(caption_dropout=1), text=TextPlan()).of_step(3), empty)


def test_drawn_captions_are_those_of_the_step_wherever_a_run_begins(checkpoint):
    """Bit for bit, at the edges of windows, in them, and at the last step; and right to float rounding."""
    model = load_base_model(checkpoint, torch.float32)
    text = TextPlan(clip_skip=2, longest_prompt=150, weights=True)
    drawing = visits(shuffle=True, tag_dropout=0.2, weights=True)
    straight = encodings(model, drawing, text=text)
    steps = (0, 1, 63, 64, 100, 127, 128, 199)
    found = {step: straight.of_step(step) for step in steps}
    for step in steps:
        assert same(encodings(model, drawing, text=text).of_step(step), found[step])
    reading = PromptReading(longest=150, weights=True)
    expected = model.encode_text(drawing.of_batch(IMAGES, 100), 2, reading)
    assert expected.states_BLD.shape[1] == 2 * 77
    torch.testing.assert_close(found[100].states_BLD, expected.states_BLD, rtol=0, atol=1e-5)
    assert not found[100].states_BLD.requires_grad


def test_a_steps_autocast_does_not_touch_the_encoders(checkpoint):
    model = load_base_model(checkpoint, torch.float32)
    expected = encodings(model, visits(shuffle=True), text=TextPlan()).of_step(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = encodings(model, visits(shuffle=True), text=TextPlan()).of_step(0)
    assert found.states_BLD.dtype == torch.float32 and same(found, expected)


def test_a_window_keeps_no_more_than_its_own_captions(checkpoint, monkeypatch):
    model = load_base_model(checkpoint, torch.float32)
    made = encodings(model, visits(shuffle=True), text=TextPlan())
    rounds, original = [], model.encode_each
    counted = lambda _, texts, *rest: rounds.append(len(texts)) or original(texts, *rest)  # noqa: E731
    monkeypatch.setattr(type(model), "encode_each", counted)
    most = 0
    for step in range(200):
        made.of_step(step)
        most = max(most, len(made._rows))
    assert 60 < most <= 128, "of more than 190 in all"
    assert max(rounds) <= 16 and sum(rounds) <= 400


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_encoders_wait_in_main_memory_between_windows(checkpoint, monkeypatch):
    model = load_base_model(checkpoint, torch.float32)
    moves = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: moves.append(device) or module)
    made = encodings(model, visits(shuffle=True), text=TextPlan())
    made._device = "cuda"
    for way in ("to", "sent_to"):
        monkeypatch.setattr(f"trainer_core.families.base_model.Conditioning.{way}", lambda row, *_: row)
    made.of_step(0)
    made.of_step(1)
    count = len(model.text_encoders)
    assert moves == ["cpu"] * count + ["cuda"] * count + ["cpu"] * count
