"""Prompts as ComfyUI reads them: brackets as weights, chunks of 75 tokens."""

from __future__ import annotations

import pytest
from transformers import CLIPTokenizer

from trainer_core.demo.tokenizer import write_tokenizer
from trainer_core.families.prompts import (
    AS_CAPTION,
    AS_PROMPT,
    PromptReading,
    chunk_prompts,
    cut_into_chunks,
    open_brackets,
    weighted_parts,
)

WEIGHTS = PromptReading(longest=150, weights=True)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> CLIPTokenizer:
    """The demo's, in which "cat" is one token and a letter of an unknown word another."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def lengths(tokenizer: CLIPTokenizer, prompt: str, reading: PromptReading = AS_PROMPT) -> list[int]:
    return [len(chunk) for chunk in cut_into_chunks(tokenizer, prompt, reading)]


# -------------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("", []),
        ("()", []),
        ("cat", [("cat", 1)]),
        ("(cat)", [("cat", 1.1)]),
        ("((cat))", [("cat", 1.21)]),
        ("a (cat:1.2), b", [("a ", 1), ("cat", 1.2), (", b", 1)]),
        ("(a (cat:1.2) b:0.5)", [("a ", 0.5), ("cat", 1.2), (" b", 0.5)]),
        ("(a (cat) b:0.5)", [("a ", 0.5), ("cat", 0.55), (" b", 0.5)]),
        ("(cat:0)(b:-1)", [("cat", 0), ("b", -1)]),
        ("(cat: 1.5 )", [("cat", 1.5)]),
        ("(a:b:1.5)", [("a:b", 1.5)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(:1.5)", [(":1.5", 1.1)]),
        ("(cat:nan), (cat:inf)", [("cat:nan", 1.1), (", ", 1), ("cat:inf", 1.1)]),
        (r"saber \(fate\)", [("saber (fate)", 1)]),
        (r"(saber \(fate\):1.3)", [("saber (fate)", 1.3)]),
        (r"(cat \)", [("(cat )", 1)]),
        ("(cat", [("(cat", 1)]),
        ("cat)", [("cat)", 1)]),
        (":), (cat), :(", [(":), (cat), :(", 1)]),
        ("((cat)", [("(cat", 1.1)]),
        ("[cat] {cat}", [("[cat] {cat}", 1)]),
    ],
)
def test_brackets_become_weights(prompt, parts):
    found = weighted_parts(prompt)
    assert [text for text, _ in found] == [text for text, _ in parts]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in parts])


def test_very_deep_brackets_end_in_text():
    (part,) = weighted_parts("(" * 3000 + "cat" + ")" * 3000)
    assert part[0] == "(" * 2950 + "cat" + ")" * 2950 and part[1] == pytest.approx(1.1**50)


@pytest.mark.parametrize(("text", "count"), [("(a", 1), ("a)", -1), ("(a) ((", 2), (r"\(a \)", 0), ("", 0)])
def test_brackets_that_stay_open_are_counted(text, count):
    assert open_brackets(text) == count


# --------------------------------------------------------------------------------------------------------------- chunks


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", [0]),
        ("cat", [1]),
        ("cat " * 75, [75]),
        ("cat " * 76, [75, 1]),
        ("cat " * 300, [75] * 4),
        ("cat " * 301, [75] * 4 + [1]),
        ("cat " * 70 + "(cat cat cat cat cat:1.2)", [75]),
        ("cat " * 71 + "(cat cat cat cat cat:1.2)", [71, 5]),
        ("cat " * 71 + "(cat cat cat cat cat cat cat:1.2)", [71, 7]),
        ("cat " * 71 + "(cat cat cat cat cat cat cat cat:1.2)", [75, 4]),
        ("cat " * 75 + "(cat cat cat cat cat cat cat cat:1.2)", [75, 8]),
        ("(" + "cat " * 160 + ":1.2)", [75, 75, 10]),
        ("cat " * 74 + "(cat cat:1.2) cat", [74, 3]),
    ],
)
def test_a_prompt_is_cut_every_75_tokens_but_not_within_a_short_weighted_part(tokenizer, prompt, expected):
    assert lengths(tokenizer, prompt) == expected


@pytest.mark.parametrize(
    ("longest", "expected"), [(75, [75]), (150, [75, 75]), (225, [75, 75, 10]), (None, [75, 75, 10])]
)
def test_no_more_chunks_are_read_than_asked_for(tokenizer, longest, expected):
    assert lengths(tokenizer, "cat " * 160, PromptReading(longest=longest, weights=False)) == expected


def test_tokens_follow_one_another_over_the_chunks(tokenizer):
    prompt = "a red cat, blue sky, " * 20
    ids = [token for chunk in cut_into_chunks(tokenizer, prompt, AS_PROMPT) for token, _ in chunk]
    assert ids == tokenizer(prompt, add_special_tokens=False).input_ids
    caption = cut_into_chunks(tokenizer, prompt, AS_CAPTION)
    assert [[token for token, _ in chunk] for chunk in caption] == [ids[:75]]


def test_captions_take_brackets_for_text(tokenizer):
    prompt = r"(cat:1.2) \(cat\)"
    (chunk,) = cut_into_chunks(tokenizer, prompt, AS_CAPTION)
    assert chunk == [(token, 1) for token in tokenizer(prompt, add_special_tokens=False).input_ids]
    (weighed,) = cut_into_chunks(tokenizer, prompt, WEIGHTS)
    assert [weight for _, weight in weighed] == [1.2, 1, 1, 1]


# ----------------------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("padding", [None, 0])
def test_every_chunk_has_start_end_and_padding(tokenizer, padding):
    prompts = chunk_prompts(tokenizer, ["cat", "cat " * 80, ""], AS_PROMPT, padding=padding)
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    (cat,) = tokenizer("cat", add_special_tokens=False).input_ids
    pad = end if padding is None else padding
    expected = [[cat], [cat] * 75, [cat] * 5, []]
    assert prompts.ids_NL.tolist() == [[start, *row, end] + [pad] * (75 - len(row)) for row in expected]
    assert prompts.counts == (1, 2, 1)
    assert prompts.weights_NL.shape == (4, 77) and prompts.weights_NL.eq(1).all()


def test_one_empty_row_is_added_where_any_token_is_weighed(tokenizer):
    prompts = chunk_prompts(tokenizer, ["cat", "cat (cat:1.5)"], WEIGHTS, padding=None)
    assert prompts.counts == (1, 1) and len(prompts.ids_NL) == 3
    assert prompts.ids_NL[2].tolist() == [tokenizer.bos_token_id] + [tokenizer.eos_token_id] * 76
    assert prompts.weights_NL[0].eq(1).all() and prompts.weights_NL[2].eq(1).all()
    assert prompts.weights_NL[1, :4].tolist() == [1, 1, 1.5, 1]
    assert len(chunk_prompts(tokenizer, ["(cat:1.0)"], WEIGHTS, padding=None).ids_NL) == 1
