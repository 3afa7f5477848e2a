"""Captions composed: what a picture had, what a tagger or the graph says, the rules, the edits by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from trainer_core.captions.composing import Composition, compose
from trainer_core.captions.edits import NO_EDITS, CaptionEdit, CaptionEdits
from trainer_core.captions.rules import CaptionRules
from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.errors import TrainingError
from trainer_core.tagging.tagger import TagAnswer

WD = SimpleNamespace(name="wd", threshold=0.35, character_threshold=0.85)
BLIP = SimpleNamespace(name="blip", threshold=0.0, character_threshold=0.0)
HAT = TagAnswer(general={"red_hat": 0.9, "smile": 0.4, "dog": 0.2})
SENTENCE = TagAnswer(sentence="A girl in a hat sits on a bench.")


def image(caption: str, *more: str, source: str = "a.txt", name: str = "a.png", reg: bool = False) -> DatasetImage:
    return DatasetImage(
        path=Path("/set") / name, width=64, height=64, caption=caption, caption_source=source, repeats=1,
        is_regularisation=reg, fingerprint="0" * 32, other_captions=more,
    )  # fmt: skip


def composed(
    *images: DatasetImage,
    answers: list[TagAnswer] | None = None,
    texts: list[str] | None = None,
    model: SimpleNamespace = WD,
    edits: dict[str, CaptionEdit] | None = None,
    trigger_words: tuple[str, ...] = (),
    **rules,
) -> Composition:
    return compose(
        Dataset(images=images, trigger_words=trigger_words),
        CaptionRules(**rules),
        answers=answers,
        model=model if answers is not None else None,
        texts=texts,
        edits=CaptionEdits(edits) if edits else NO_EDITS,
    )


def caption(*images: DatasetImage, **given) -> str:
    return composed(*images, **given).dataset.images[0].caption


@pytest.mark.parametrize(
    ("existing", "own", "source", "result"),
    [
        ("keep", "own, hat", "a.txt", "own, hat"),
        ("keep", "", "none", "red hat, smile"),
        ("keep", "", "empty", "red hat, smile"),
        ("keep", "cat", "folder name", "red hat, smile"),
        ("keep", "mochi", "none", "red hat, smile"),
        ("merge", "own, Smile", "a.txt", "own, Smile, red hat"),
        ("merge", "cat", "folder name", "red hat, smile"),
        ("merge", "A cat sits on a mat.", "a.txt", "A cat sits on a mat, red hat, smile"),
        ("overwrite", "own", "a.txt", "red hat, smile"),
    ],
)
def test_what_becomes_of_a_caption_that_is_there(existing, own, source, result):
    found = composed(image(own, source=source), answers=[HAT], existing=existing).dataset.images[0]
    assert found.caption == result
    assert found.caption_source == (source if result == own else "wd")


def test_sentences_come_before_tags_and_after_sentences_that_were_there():
    assert caption(image("hat, cat"), answers=[SENTENCE], model=BLIP, existing="merge") == (
        "A girl in a hat sits on a bench, hat, cat"
    )
    assert caption(image("A cat sits on a mat."), answers=[SENTENCE], model=BLIP, existing="merge") == (
        "A cat sits on a mat, A girl in a hat sits on a bench."
    )
    assert caption(image("", source="none"), answers=[SENTENCE], model=BLIP) == "A girl in a hat sits on a bench."


def test_texts_from_the_graph_are_captions_like_any_other():
    found = composed(image("", source="none"), texts=["cat,  cat , hat\n"]).dataset.images[0]
    assert (found.caption, found.caption_source) == ("cat, hat", "given")
    two = composed(image("", source="none"), image("own", name="b.png"), texts=["cat"], existing="merge")
    assert [entry.caption for entry in two.dataset.images] == ["cat", "own, cat"]
    both = composed(image("", source="none"), texts=["A cat sits on a mat."], answers=[HAT])
    assert both.dataset.images[0].caption == "A cat sits on a mat, red hat, smile"


@pytest.mark.parametrize("given", [{"texts": ["a", "b"]}, {"texts": []}, {"answers": [HAT, HAT]}, {"answers": []}])
def test_another_number_of_captions_than_of_pictures_is_refused(given):
    with pytest.raises(TrainingError, match="of 3 pictures|for 3 pictures"):
        composed(*[image("", name=f"{n}.png") for n in range(3)], **given)


def test_a_picture_on_which_no_tag_is_sure_keeps_its_caption_and_is_told():
    pictures = [image("own", name="a.png"), image("cat", source="folder name", name="b.png"), image("x", name="c.png")]
    found = composed(*pictures, answers=[TagAnswer(), TagAnswer(general={"dog": 0.34}), HAT], existing="overwrite")
    assert [entry.caption for entry in found.dataset.images] == ["own", "cat", "red hat, smile"]
    assert found.dataset.images[1].caption_source == "folder name"
    assert found.remarks == ("2 pictures: no tag reaches 0.35; they keep their captions: a.png, b.png",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"answers": [TagAnswer()], "threshold": 0.5}, "1 picture: no tag reaches 0.5; it keeps its caption: a.png"),
        ({"answers": [TagAnswer()], "model": BLIP}, "blip says nothing"),
        ({"texts": ["  "]}, "the text given is empty"),
    ],
)
def test_why_nothing_is_said_of_a_picture(given, words):
    (remark,) = composed(image("own"), existing="overwrite", **given).remarks
    assert words in remark


def test_nothing_is_remarked_where_nothing_was_asked():
    assert composed(image("", source="none")).remarks == ()
    assert composed(image("own"), answers=[TagAnswer()], existing="keep").remarks == ()


@pytest.mark.parametrize(
    ("rules", "result"),
    [
        ({"replace_tags": (("red*", "blue hat"),)}, "cat, blue hat, smile"),
        ({"replace_tags": (("red*", "a"), ("red hat", "b"))}, "cat, a, smile"),
        ({"replace_tags": (("red hat", "hat"),), "remove_tags": ("hat",)}, "cat, smile"),
        ({"replace_tags": (("red hat", ""),)}, "cat, smile"),
        ({"replace_tags": (("cat", "smile"),)}, "Red_Hat, smile"),
        ({"remove_tags": ("RED HAT",)}, "cat, smile"),
        ({"remove_tags": ("*a*",)}, "smile"),
        ({"remove_kinds": ("clothes", "pose")}, "cat"),
        ({"remove_tags": ("cat",), "add_tags": ("cat", "photo")}, "Red_Hat, smile, cat, photo"),
        ({"add_tags": ("red hat", "a, b")}, "cat, Red_Hat, smile, a, b"),
        ({"ignore_tags": ("cat",)}, "cat, Red_Hat, smile"),
    ],
)
def test_tags_are_replaced_then_removed_then_added(rules, result):
    assert caption(image("cat, Red_Hat, smile"), **rules) == result


def test_kinds_are_not_taken_out_of_sentences():
    text = "a photo of a girl with long hair, hat"
    assert caption(image(text), remove_kinds=("hair", "clothes", "pose")) == "a photo of a girl with long hair"


def test_captions_have_no_escaped_brackets():
    assert caption(image(r"saber \(fate\), x"), add_tags=(r"a \(b\)",)) == "saber (fate), x, a (b)"
    answer = TagAnswer(character={"saber_(fate)": 0.9}, sentence="")
    assert caption(image("", source="none"), answers=[answer]) == "saber (fate)"


def test_edits_by_hand_come_after_the_rules_and_before_the_trigger_word():
    edit = CaptionEdit(remove=["photo"], add=["mochi", "sky"])
    found = composed(image("cat"), edits={"a.png": edit}, add_tags=("photo",), trigger_word="mochi")
    assert found.dataset.images[0].caption == "mochi, cat, sky"
    assert found.automatic == ("cat, photo",)


def test_edits_find_their_pictures_by_the_keys():
    pictures = [image("a", name="1/a.png"), image("b", name="2/a.png"), image("c", name="c.png")]
    found = composed(*pictures, edits={"2/a.png": CaptionEdit(text="x"), "lost.png": CaptionEdit(text="y")})
    assert [entry.caption for entry in found.dataset.images] == ["a", "x", "c"]
    assert found.keys == ("1/a.png", "2/a.png", "c.png")
    assert found.remarks == ("edits by hand for 1 picture that are not here: lost.png",)


def test_regularisation_pictures_get_all_but_the_trigger_word():
    assert caption(image("cat, hat", reg=True), trigger_word="mochi", remove_tags=("hat",), add_tags=("x",)) == "cat, x"
    assert caption(image("", reg=True), trigger_word="mochi") == ""
    assert caption(image("", source="none", reg=True), trigger_word="mochi", answers=[HAT]) == "red hat, smile"


def test_trigger_words_are_kept_in_the_dataset():
    first = composed(image("x"), trigger_word="mochi, cat").dataset
    assert first.trigger_words == ("mochi", "cat")
    assert compose(first, CaptionRules(trigger_word="Mochi, hat")).dataset.trigger_words == ("mochi", "cat", "hat")
    assert compose(first, CaptionRules()).dataset.trigger_words == ("mochi", "cat")


def test_a_trigger_word_set_before_stays_in_front_of_new_words():
    pictures = [image("mochi, own"), image("dog", name="b.png")]
    for existing, result in (("overwrite", "mochi, red hat, smile"), ("merge", "mochi, own, red hat, smile")):
        found = composed(*pictures, answers=[HAT, HAT], existing=existing, trigger_words=("mochi",)).dataset
        assert found.images[0].caption == result
        assert "mochi" not in found.images[1].caption
    merged = composed(
        pictures[0], answers=[SENTENCE], model=BLIP, existing="merge", trigger_words=("mochi",)
    ).dataset.images[0]
    assert merged.caption == "mochi, A girl in a hat sits on a bench, own"


def test_each_of_several_captions_is_edited():
    several = image("a", "b, smile", "smile")
    found = composed(several, answers=[HAT], existing="merge", remove_tags=("smile",), trigger_word="mochi")
    assert found.dataset.images[0].captions == ("mochi, a, red hat", "mochi, b, red hat", "mochi, red hat")
    assert composed(several, answers=[HAT], existing="overwrite").dataset.images[0].captions == ("red hat, smile",)
    assert composed(several, remove_tags=("smile",)).dataset.images[0].captions == ("a", "b")
    assert composed(several).automatic == ("a",)


def test_composing_leaves_the_given_dataset_alone():
    dataset = Dataset(images=(image("cat"),))
    compose(dataset, CaptionRules(trigger_word="mochi"))
    assert dataset.images[0].caption == "cat" and dataset.trigger_words == ()
