"""Crops set by hand: read from JSON or lines, matched to files, fitted to the training shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer_core.crop.overrides import Override, Overrides, read_overrides
from trainer_core.dataset.types import DatasetImage
from trainer_core.errors import TrainingError


def image(path: str) -> DatasetImage:
    return DatasetImage(
        path=Path(path), width=300, height=200, caption="", caption_source="none", repeats=1,
        is_regularisation=False, fingerprint="0" * 32,
    )  # fmt: skip


def test_json_and_lines_say_the_same():
    as_json = '{"a.png": [40, 0, 240, 200], "x/b 1.png": [0.5, 0.25], "c:d.png": "left"}'
    as_lines = "a.png: 40, 0, 240, 200\n\nx/b 1.png = 0.5 0.25\nc:d.png: left\n"
    assert read_overrides(as_json) == read_overrides(as_lines)
    assert read_overrides(as_lines)["a.png"] == Override(box=(40, 0, 240, 200))
    assert read_overrides(as_lines)["x/b 1.png"] == Override(place=(0.5, 0.25))
    assert read_overrides("  \n ") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("[1, 2]", "line 1 of the crop overrides"),
        ("a.png", "line 1"),
        ("a.png: left\nb.png: 1, 2, 3", "'b.png' is"),
        ("a.png: 10, 10, 5, 20", "'a.png' is"),
        ("a.png: 1.5, 0.2", "'a.png' is"),
        ("a.png: nan, 0.2", "'a.png' is"),
        ("a.png: up", "'a.png' is 'up'"),
        ('{"a.png": [true, false]}', "'a.png' is"),
        ('{"a.png": {"left": 1}}', "'a.png' is"),
    ],
)
def test_what_cannot_be_read_is_named(text, words):
    with pytest.raises(TrainingError, match="override") as caught:
        read_overrides(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("override", "aspect", "window"),
    [
        (Override(place=(0.5, 0.5)), 1.0, (50, 0, 250, 200)),
        (Override(place=(0.0, 0.5)), 1.0, (0, 0, 200, 200)),
        (Override(place=(0.9, 0.0)), 1.0, (100, 0, 300, 200)),
        (Override(box=(10, 20, 110, 120)), 1.0, (10, 20, 110, 120)),
        (Override(box=(10, 20, 110, 70)), 1.0, (10, 0, 110, 100)),
        (Override(box=(0, 0, 300, 200)), 1.0, (50, 0, 250, 200)),
        (Override(box=(250, 150, 500, 400)), 0.5, (200, 0, 300, 200)),
        (Override(box=(0, 0, 40, 20)), 2.0, (0, 0, 40, 20)),
    ],
)
def test_a_window_has_the_shape_and_stays_inside(override, aspect, window):
    found = override.window(300, 200, aspect)
    assert found == window
    assert (found[2] - found[0]) / (found[3] - found[1]) == pytest.approx(aspect, rel=0.02)


def test_the_longest_key_that_fits_wins():
    images = [image("/set/10_mochi/a.png"), image("/set/5_dog/a.png")]
    overrides = Overrides(read_overrides("a.png: left\n5_dog/a.png: right"), images)
    assert overrides.of(images[0]) == Override(place=(0.0, 0.5))
    assert overrides.of(images[1]) == Override(place=(1.0, 0.5))
    assert Overrides({}, images).of(images[0]) is None


def test_a_key_that_names_no_picture_is_an_error():
    with pytest.raises(TrainingError, match=r"'b\.png' names no picture"):
        Overrides(read_overrides("b.png: left"), [image("/set/a.png")])
