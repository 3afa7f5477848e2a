"""Rules as people write them."""

from __future__ import annotations

import pytest

from trainer_core.captions.rule_text import read_replacements, read_tags
from trainer_core.errors import TrainingError


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", ()),
        (" , ,, ", ()),
        ("long hair, *eyes", ("long hair", "*eyes")),
        ("长发，蓝眼睛、帽子", ("长发", "蓝眼睛", "帽子")),
        ("one\ntwo, three", ("one", "two", "three")),
    ],
)
def test_tags_are_read_between_commas_of_any_kind(text, tags):
    assert read_tags(text) == tags


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ()),
        ("red hair -> brown hair", (("red hair", "brown hair"),)),
        ("a->b\n\n  *_dress → clothes \nc => ", (("a", "b"), ("*_dress", "clothes"), ("c", ""))),
        (":> -> smile", ((":>", "smile"),)),
    ],
)
def test_replacements_are_read_line_by_line(text, pairs):
    assert read_replacements(text) == pairs


@pytest.mark.parametrize(("text", "line"), [("red hair", "line 1"), ("a -> b\n-> c", "line 2"), ("a = b", "line 1")])
def test_a_line_that_replaces_nothing_is_refused_by_its_number(text, line):
    with pytest.raises(TrainingError, match=line):
        read_replacements(text)
