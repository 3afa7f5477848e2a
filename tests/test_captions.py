"""Captions as lists of tags: split, compared, spelled, added to, the trigger word first."""

from __future__ import annotations

import pytest

from trainer_core.captions.tags import (
    TagPatterns,
    is_sentence,
    lead_with,
    merged_words,
    plain_tag,
    says,
    shown_tag,
    split_tags,
    unescaped,
    with_added,
    with_replaced,
)


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("", []),
        (" , ,", []),
        ("a,b , c d", ["a", "b", "c d"]),
        ("A cat. On a mat.", ["A cat. On a mat."]),
        ("1,000 birds, sky", ["1,000 birds", "sky"]),
        ("1,2,3", ["1", "2", "3"]),
        ("a,100", ["a", "100"]),
    ],
)
def test_tags_stand_between_commas(caption, tags):
    assert split_tags(caption) == tags


@pytest.mark.parametrize(
    ("tag", "plain"),
    [("Long_Hair", "long hair"), (r"saber \(fate\)", "saber (fate)"), ("  a   b ", "a b"), ("ẞ" * 90, "ss" * 90)],
)
def test_tags_are_compared_without_case_underscores_and_backslashes(tag, plain):
    assert plain_tag(tag) == plain


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("long_hair", "long hair"), ("^_^", "^_^"), (">_<", ">_<"), ("(o)_(o)", "(o)_(o)"), ("|_|", "|_|"),
        ("<|>_<|>", "<|>_<|>"), ("saber_(fate)", "saber (fate)"), (r"saber_\(fate\)", "saber (fate)"),
        ("6+_girls", "6+ girls"), ("v", "v"), ("uu_", "uu_"),
    ],
)  # fmt: skip
def test_underscores_become_spaces_except_in_smileys(tag, shown):
    assert shown_tag(tag, underscores=False) == shown
    assert shown_tag(tag, underscores=True) == unescaped(tag)


def test_only_brackets_lose_their_backslashes():
    assert unescaped(r"\(a\) \m/ \\") == r"(a) \m/ \\"


@pytest.mark.parametrize(
    ("caption", "is_prose"),
    [
        ("", False),
        ("1girl, long hair, looking at viewer", False),
        ("a cat sits on a mat", True),
        ("A girl in a red dress, who wears a straw hat, sits on a bench", True),
        ("A cat sits here.", True),
        ("A cat sits here", False),
        ("cat, dog.", False),
    ],
)
def test_sentences_are_told_from_tags(caption, is_prose):
    assert is_sentence(caption) == is_prose


@pytest.mark.parametrize(
    ("caption", "result"),
    [
        ("cat, sitting", "mochi, cat, sitting"),
        ("", "mochi"),
        ("cat, Mochi, sitting", "mochi, cat, sitting"),
        ("mochi, cat", "mochi, cat"),
        ("mochi sitting on a mat", "mochi sitting on a mat"),
        ("a photo of mochi on a mat.", "a photo of mochi on a mat."),
        ("a photo of a cat on a mat.", "mochi, a photo of a cat on a mat."),
        ("mochis in a row", "mochi, mochis in a row"),
        ("not mochi", "mochi, not mochi"),
    ],
)
def test_the_trigger_word_comes_first_and_once(caption, result):
    assert lead_with(caption, ["mochi"]) == result
    assert lead_with(result, ["mochi"]) == result


def test_several_trigger_words_keep_their_order():
    assert lead_with("sitting, cat", ["mochi", "cat"]) == "mochi, cat, sitting"


def test_a_word_is_said_as_a_tag_or_within_one():
    assert says("a photo of Mochi_cat", "mochi cat") and says("x, mochi", "mochi")
    assert not says("mochis, amochi", "mochi")


def test_words_are_merged_once_whatever_their_spelling():
    assert merged_words(("mochi", "cat"), ["Mochi", "hat", "HAT"]) == ("mochi", "cat", "hat")


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("long hair", ["Long_Hair"], ["very long hair"]),
        ("LONG_HAIR", ["long hair"], ["long"]),
        ("*eyes", ["blue eyes", "eyes"], ["eyes closed"]),
        ("a*b*c", ["abc", "a x b y c"], ["ab"]),
        ("cat", ["cat"], ["catnip"]),
        ("saber (fate)", [r"saber \(fate\)"], ["saber fate"]),
        ("*(fate)", ["saber (fate)"], ["saber fate"]),
        (":?", [":?"], [":o"]),
        ("[o]", ["[o]"], ["o"]),
        ("*", ["cat", ":?"], []),
        ("  ", [], ["cat", "_"]),
    ],
)
def test_only_a_star_is_a_wildcard(pattern, hits, misses):
    patterns = TagPatterns([pattern])
    assert all(map(patterns.match, hits)) and not any(map(patterns.match, misses))


def test_one_of_several_patterns_is_enough():
    patterns = TagPatterns(["cat", "*hair", "a|b"])
    assert [tag for tag in ("cat", "red hair", "a|b", "a", "b") if patterns.match(tag)] == ["cat", "red hair", "a|b"]


@pytest.mark.parametrize(
    ("tags", "new", "result"),
    [
        (["cat"], ["sitting", "Cat"], ["cat", "sitting"]),
        (["cat"], ["a, b", "A"], ["cat", "a", "b"]),
        ([], ["cat"], ["cat"]),
        (["a cat on a mat."], ["outdoors"], ["a cat on a mat", "outdoors"]),
        (["a cat on a mat."], ["A cat on a mat."], ["a cat on a mat."]),
        (["..."], ["cat"], ["...", "cat"]),
    ],
)
def test_tags_are_added_at_the_end_and_once(tags, new, result):
    assert with_added(tags, new) == result


def test_tags_are_replaced_all_at_once_and_not_repeated():
    assert with_replaced(["A", "b", "c"], {"a": "b", "b": "a"}) == ["b", "a", "c"]
    assert with_replaced(["a", "b"], {"a": "b"}) == ["b"]
    assert with_replaced(["a", "b"], {"a": "x, y"}) == ["x", "y", "b"]
