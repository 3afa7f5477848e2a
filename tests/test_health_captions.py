"""Captions: missing, too long, with a trigger word that does not work, with tags that say too much or too little."""

from __future__ import annotations

import time

import pytest
from transformers import CLIPTokenizer

from tests.photos import entry, healthy
from trainer_core.dataset.types import Dataset
from trainer_core.dataset.wording import FileNames
from trainer_core.demo.tokenizer import write_tokenizer
from trainer_core.health import tags
from trainer_core.health.captions import caption_findings
from trainer_core.health.findings import Finding
from trainer_core.health.tags import tag_findings
from trainer_core.health.tokens import TokenCounter


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """The demo's: CLIP's scheme, in which a word of the drawn world is one token and any other one a token a letter."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(folder)


def findings(*images, trigger_words=(), tokenizer=None) -> dict[str, Finding]:
    dataset = Dataset(images=images, trigger_words=trigger_words)
    names = FileNames(dataset)
    found = [*caption_findings(dataset, names, tokenizer), *tag_findings(dataset, names, tokenizer)]
    assert len({finding.kind for finding in found}) == len(found)
    return {finding.kind: finding for finding in found}


def captions(*texts: str) -> list:
    return [entry(f"{number}.png", caption=text) for number, text in enumerate(texts)]


def test_healthy_captions_give_no_findings(tokenizer):
    varied = captions(*(f"mychar, scene {n}, object {n}" for n in range(20)))
    assert findings(*varied, trigger_words=("mychar",), tokenizer=tokenizer) == {}
    assert findings() == {}


@pytest.mark.parametrize(
    ("source", "kind"),
    [("none", "caption missing"), ("empty", "caption empty"), ("folder name", "caption from folder")],
)
def test_captions_that_say_nothing_of_the_picture(source, kind):
    odd = entry("odd.png", caption="mychar" if source != "folder name" else "cat", caption_source=source)
    found = findings(*healthy(6), odd, trigger_words=("mychar",) if source != "folder name" else ())
    found.pop("common tags", None)
    assert {kind: finding.files for kind, finding in found.items()} == {kind: ("odd.png",)}


def test_a_set_without_any_caption_is_told_once():
    bare = [entry(f"{n}.png", caption="", caption_source="none") for n in range(6)]
    found = findings(*bare)
    assert {kind: (f.level, f.files) for kind, f in found.items()} == {"caption missing": ("warn", ())}
    named = [entry(f"{n}.png", caption="mychar", caption_source="none") for n in range(6)]
    found = findings(*named, trigger_words=("mychar",))
    assert {kind: (f.level, f.files) for kind, f in found.items()} == {"caption missing": ("note", ())}


def test_regularisation_pictures_need_no_captions():
    ordinary = [
        entry("r0.png", is_regularisation=True, caption="", caption_source="none"),
        entry("r1.png", is_regularisation=True, caption="", caption_source="empty"),
        entry("r2.png", is_regularisation=True, caption="cat " * 90),
        entry("r3.png", is_regularisation=True, caption="cat " * 90),
    ]
    assert findings(*healthy(6), *ordinary, trigger_words=("mychar",)) == {}


def test_equal_captions_are_all_named():
    found = findings(*captions("a cat", "a dog", "a cat", "a bird"))
    assert found["caption equal"].files == ("0.png", "2.png")
    same_source = [entry(f"{n}.png", caption="cat", caption_source="folder name") for n in range(2)]
    assert "caption equal" not in findings(*same_source)


# ------------------------------------------------------------------------------------------------------- tokens


@pytest.mark.parametrize(("words", "is_long"), [(75, False), (76, True)])
@pytest.mark.parametrize("is_exact", [True, False])
def test_the_limit_is_75_tokens(tokenizer, words, is_long, is_exact):
    odd = entry("odd.png", caption=" ".join(["cat"] * words))
    found = findings(*healthy(3), odd, tokenizer=tokenizer if is_exact else None)
    assert ("caption long" in found) == is_long
    if is_long:
        assert found["caption long"].files == ("odd.png",)
        assert found["caption long"].labels == (("76 tokens",) if is_exact else ("at least 76 tokens",))


def test_the_tags_that_fall_off_are_named(tokenizer):
    """37 tags of one token and 37 commas are 74; the 38th tag is the 75th token, the next one is lost."""
    colours = ["red"] * 38
    odd = entry("odd.png", caption=", ".join([*colours, "blue", "blue cat"]))
    for chosen in (tokenizer, None):
        finding = findings(*healthy(3), odd, tokenizer=chosen)["caption long"]
        assert finding.text.endswith("80 and loses blue, blue cat")
        assert finding.text.startswith("1 caption has over 75 tokens: odd.png has")


def test_a_tag_that_is_cut_in_the_middle_is_lost(tokenizer):
    odd = entry("odd.png", caption=", ".join([*["red"] * 37, "blue cat", "blue"]))
    assert findings(odd, tokenizer=tokenizer)["caption long"].text.endswith("loses blue cat, blue")
    prose = entry("odd.png", caption="cat " * 80)
    assert findings(prose, tokenizer=tokenizer)["caption long"].text.endswith("loses its end")


def test_a_caption_of_many_tags_is_no_work(tokenizer):
    odd = entry("odd.png", caption=", ".join(f"tag{number:04d}" for number in range(7_000)))
    for chosen in (tokenizer, None):
        started = time.process_time()
        assert "loses tag00" in findings(odd, tokenizer=chosen)["caption long"].text
        assert time.process_time() - started < 3  # 30 s where every beginning of it is read


def test_longer_limits_are_counted_too(tokenizer):
    lengths = (75, 76, 150, 151, 225, 226)
    images = captions(*(" ".join(["cat"] * length) for length in lengths))
    text = findings(*images, tokenizer=tokenizer)["caption long"].text
    assert text.startswith("5 captions have over 75 tokens (3 over 150, 1 over 225): 5.png has 226")


def test_the_longest_of_several_captions_counts(tokenizer):
    odd = entry("odd.png", caption="cat", other_captions=("cat " * 80, "red cat"))
    assert findings(odd, tokenizer=tokenizer)["caption long"].labels == ("80 tokens",)


@pytest.mark.parametrize(
    "text",
    [
        "a cat, 1girl, (x:1.2)", "2024 __ ^_^ :3 don't", "long_hair looking_at_viewer", "", "  ", "猫が座る, вот",
        "e\u0301t\u00e9 \u2013 \u201cquoted\u201d", "!!!???...", "C++ & C#", "a1b2c3",
    ],
)  # fmt: skip
def test_without_the_tokenizer_no_more_is_counted_than_there_is(tokenizer, text):
    (least,), (exact,) = TokenCounter(None).counts([text]), TokenCounter(tokenizer).counts([text])
    assert least <= exact
    assert least > 0 or not text.strip()


def test_ten_thousand_captions_are_counted_in_seconds(tokenizer):
    texts = [f"mychar, cat {n}, red ball, on a blue background, long hair, smiling" for n in range(10_000)]
    for chosen in (tokenizer, None):
        started = time.monotonic()
        counts = TokenCounter(chosen).counts(texts)
        assert time.monotonic() - started < 10
        assert len(counts) == 10_000 and counts[0] == TokenCounter(chosen).counts(texts[:1])[0]


# ------------------------------------------------------------------------------------------------- trigger words


def test_a_missing_trigger_word_is_told_with_its_pictures():
    images = captions("mychar, cat", "a photo of mychar sitting", "mycharacter, cat", "cat", "MyChar cat", "my_char")
    found = findings(*images, trigger_words=("mychar",))
    assert found["trigger missing"].files == ("2.png", "3.png", "5.png")
    assert "trigger missing" not in findings(*images)


def test_every_caption_of_a_picture_must_say_the_trigger_word():
    odd = entry("odd.png", caption="mychar, cat", other_captions=("cat",))
    assert findings(*healthy(3), odd, trigger_words=("mychar",))["trigger missing"].files == ("odd.png",)


def test_a_trigger_word_in_the_other_spelling_is_said():
    assert "trigger missing" not in findings(*captions("My Char, cat", "my_char, dog"), trigger_words=("my_char",))


def test_a_trigger_word_that_is_one_token_is_known(tokenizer, monkeypatch):
    images = captions("x")
    assert "trigger known" not in findings(*images, trigger_words=("cat",), tokenizer=tokenizer), "not CLIP's"
    monkeypatch.setattr(tags, "CLIP_VOCABULARY", len(tokenizer))
    assert "trigger known" not in findings(*images, trigger_words=("cat",)), "cannot be told"
    for word in ("mychar", "red cat"):
        assert "trigger known" not in findings(*images, trigger_words=(word,), tokenizer=tokenizer)
    found = findings(*images, trigger_words=("cat",), tokenizer=tokenizer)["trigger known"]
    assert found.level == "warn" and "'cat' is an ordinary word" in found.text
    monkeypatch.setattr(tags, "_FIRST_RARE_TOKEN", 0)
    assert findings(*images, trigger_words=("cat",), tokenizer=tokenizer)["trigger known"].level == "note"


def test_a_trigger_word_in_regularisation_captions_stops():
    ordinary = [
        entry("r0.png", is_regularisation=True, caption="a cat"),
        entry("r1.png", is_regularisation=True, caption="mychar sitting"),
    ]
    found = findings(*healthy(6), *ordinary, trigger_words=("mychar",))
    assert {kind: (f.level, f.files) for kind, f in found.items()} == {
        "trigger in regularisation": ("stop", ("r1.png",))
    }


# ---------------------------------------------------------------------------------------------------------- tags


@pytest.mark.parametrize(("with_tag", "of", "is_common"), [(9, 10, True), (8, 10, False), (5, 5, True), (4, 4, False)])
def test_tags_on_nearly_all_pictures(with_tag, of, is_common):
    images = captions(*(f"tag {n}" + ", Red_Hair" * (n < with_tag) for n in range(of)))
    found = findings(*images)
    assert ("common tags" in found) == is_common
    if is_common:
        assert f"Red_Hair ({with_tag / of:.0%})" in found["common tags"].text


def test_common_tags_leave_out_the_trigger_word_and_join_spellings():
    images = captions(*("mychar, red hair" if n % 3 else "mychar, red_hair" for n in range(9)))
    text = findings(*images, trigger_words=("mychar",))["common tags"].text
    assert "red hair (100%)" in text and "mychar" not in text


def test_a_tag_said_twice_in_one_caption_counts_once():
    images = captions(*(f"tag {n}" + ", hat, Hat" * (n < 5) for n in range(10)))
    assert "common tags" not in findings(*images)


def test_two_styles_of_writing_name_the_rarer_one():
    images = captions("1girl, long_hair", "1girl, red eyes", "1girl, blue eyes", "1girl, solo")
    assert findings(*images)["tag style"].files == ("0.png",)
    images = captions("long_hair", "red_eyes", "blue eyes")
    assert findings(*images)["tag style"].files == ("2.png",)


@pytest.mark.parametrize(
    "texts",
    [
        ("long_hair", "red_eyes, solo"),
        ("long hair", "red eyes, ^_^, _x_"),
        ("my_char, long hair", "my_char, red eyes"),
        ("long_hair", "a girl with long hair is sitting on a bench"),
    ],
)
def test_one_style_of_writing_is_no_finding(texts):
    assert "tag style" not in findings(*captions(*texts), trigger_words=("my_char",))


@pytest.mark.parametrize(("text", "is_found"), [("cat, <lora:x:0.8>", True), ("<LoRA:x>", True), ("a lora: x", False)])
def test_prompt_syntax_in_captions(text, is_found):
    assert ("prompt syntax" in findings(*healthy(3), entry("odd.png", caption=text))) == is_found
    ordinary = entry("odd.png", caption=text, is_regularisation=True)
    assert ("prompt syntax" in findings(*healthy(3), ordinary)) == is_found


@pytest.mark.parametrize(("text", "is_found"), [("猫", True), ("кошка", True), ("café – “naïve” ★ 100 %", False)])
def test_other_scripts(text, is_found):
    assert ("caption script" in findings(*healthy(3), entry("odd.png", caption=text))) == is_found


def test_several_captions_are_noted():
    odd = entry("odd.png", caption="a mychar", other_captions=("one more",))
    found = findings(*healthy(3), odd)
    assert set(found) == {"several captions"} and found["several captions"].files == ("odd.png",)
