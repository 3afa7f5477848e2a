"""The rules of captions: what is refused, what a job file may say, which of a tagger's tags are taken."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from trainer_core.captions.choosing import TagChoice
from trainer_core.captions.rules import CaptionRules
from trainer_core.errors import TrainingError
from trainer_core.tagging.tagger import TagAnswer

MODEL = SimpleNamespace(name="wd", threshold=0.35, character_threshold=0.85)


def chosen(general: dict[str, float], character: dict[str, float] | None = None, /, **rules) -> list[str]:
    return TagChoice(CaptionRules(**rules), MODEL).tags(TagAnswer(general=general, character=character or {}))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("existing", "replace", "keep, merge, overwrite"),
        ("order", "random", "score, alphabet"),
        ("threshold", -0.1, "tag threshold is -0.1"),
        ("threshold", 1.1, "tag threshold"),
        ("threshold", float("nan"), "tag threshold"),
        ("character_threshold", 2.0, "characters is 2"),
        ("fewest_tags", -1, "fewest tags"),
        ("most_tags", 5000, "most tags"),
        ("remove_kinds", ("hats",), "hair, eyes"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(field, value, words):
    with pytest.raises(TrainingError) as caught:
        CaptionRules(**{field: value})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_at_least_more_than_at_most_is_refused():
    with pytest.raises(TrainingError, match="at least 5 and at most 3"):
        CaptionRules(fewest_tags=5, most_tags=3)
    assert CaptionRules(fewest_tags=5, most_tags=0).fewest_tags == 5


def test_rules_come_back_from_json():
    rules = CaptionRules(
        trigger_word="mochi", existing="merge", threshold=0.4, character_threshold=0.9, underscores=True,
        order="alphabet", fewest_tags=1, most_tags=30, ignore_tags=("a",), replace_tags=(("b*", "c"),),
        remove_tags=("d",), remove_kinds=("hair",), add_tags=("e",),
    )  # fmt: skip
    assert CaptionRules.from_json(rules.to_json()) == rules
    assert CaptionRules.from_json({}) == CaptionRules()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "captions must be an object"),
        ({"trigger": "x"}, "no field 'trigger'"),
        ({"remove_tags": "a"}, "captions.remove_tags must be a list of texts"),
        ({"add_tags": [1]}, "captions.add_tags"),
        ({"replace_tags": {"a": "b"}}, "list of [old, new]"),
        ({"replace_tags": [["a"]]}, "list of [old, new]"),
        ({"replace_tags": [["a", 1]]}, "captions.replace_tags"),
        ({"remove_kinds": ["hats"]}, "'hats'"),
        ({"threshold": "0.3"}, "captions.threshold must be a number"),
        ({"existing": "maybe"}, "captions.existing"),
    ],
)
def test_a_job_file_that_says_something_else_is_refused(value, words):
    with pytest.raises(TrainingError) as caught:
        CaptionRules.from_json(value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("threshold", "tags"), [(0.0, ["b", "a", "c"]), (0.5, ["b", "a"]), (0.9, ["b"]), (1.0, []), (None, ["b", "a"])]
)  # fmt: skip
def test_tags_from_the_threshold_on_are_taken_surest_first(threshold, tags):
    assert chosen({"a": 0.5, "b": 0.9, "c": 0.1}, threshold=threshold) == tags


@pytest.mark.parametrize("threshold", [0.1, 0.35, 0.7, 0.85])
def test_a_score_of_exactly_the_threshold_is_taken_in_either_precision(threshold):
    scores = {"a": float(np.float32(threshold)), "b": threshold, "c": float(np.nextafter(np.float32(threshold), 0))}
    assert sorted(chosen(scores, threshold=threshold)) == ["a", "b"]


def test_equal_scores_are_in_alphabetical_order():
    assert chosen({"z": 0.5, "a": 0.5}) == ["a", "z"]
    assert chosen({"b": 0.9, "C": 0.8, "a": 0.5}, order="alphabet") == ["a", "b", "C"]


def test_characters_have_a_threshold_of_their_own():
    names = {"saber_(fate)": 0.9, "rin": 0.8}
    assert chosen({"a": 0.95}, names) == ["a", "saber (fate)"]
    assert chosen({"a": 0.95}, names, character_threshold=0.8) == ["a", "saber (fate)", "rin"]


def test_the_surest_below_the_threshold_make_up_for_too_few():
    scores = {"a": 0.9, "b": 0.1, "c": 0.2, "d": 0.3}
    assert chosen(scores, fewest_tags=3) == ["a", "d", "c"]
    assert chosen(scores, {"rin": 0.84}, fewest_tags=2) == ["a", "d"]
    assert chosen(scores, fewest_tags=3, ignore_tags=("d",)) == ["a", "c", "b"]
    assert chosen(scores, fewest_tags=9) == ["a", "d", "c", "b"]


def test_the_surest_are_taken_where_there_are_too_many():
    assert chosen({"c": 0.9, "b": 0.8, "a": 0.7}, most_tags=2) == ["c", "b"]
    assert chosen({"c": 0.9, "b": 0.8, "a": 0.7}, most_tags=2, order="alphabet") == ["b", "c"]


def test_ignored_tags_are_not_taken():
    assert chosen({"long_hair": 0.9, "hat": 0.8}, {"hair_girl": 0.9}, ignore_tags=("*hair*",)) == ["hat"]


def test_underscores_are_kept_on_request():
    assert chosen({"long_hair": 0.9, "^_^": 0.8}) == ["long hair", "^_^"]
    assert chosen({"long_hair": 0.9}, underscores=True) == ["long_hair"]
