"""The tag editor in a real browser, on a real ComfyUI, with nodes drawn either way: tags are edited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.browser import ComfyPage, OpenPages
from tests.host.server import ComfyServer
from tests.host.tag_editor import CAPTIONS, build, bulk, button, captions_of, make_album, open_editor, texts

MARKUP = "<img src=x onerror=window.isBroken=1>"


def test_edits_go_from_the_editor_through_the_workflow_into_the_captions(page: ComfyPage, album: Path) -> None:
    ids = build(page, album)
    open_editor(page)
    page.find(".la-tag", text="hat").click()
    page.until(lambda: page.find(".la-cell").count() == 2)
    bulk(page, "Remove", "hat")
    page.until(lambda: "hat" not in texts(page, 0))
    button(page, "Undo").click()
    page.until(lambda: "hat" in texts(page, 0))
    button(page, "Redo").click()
    page.find(".la-search-input").fill("")
    page.until(lambda: page.find(".la-cell").count() == len(CAPTIONS))
    bulk(page, "Replace", "long hair", "short hair")
    bulk(page, "Add", "cat, outdoors")
    button(page, "Save to workflow").click()
    button(page, "Close").click()
    edits = json.loads(page.widget(ids["tag"], "edits"))
    assert edits["pictures"]["0000.png"] == {
        "remove": ["hat"], "replace": {"long hair": "short hair"}, "add": ["cat", "outdoors"],
    }  # fmt: skip
    page.find(".la-node-line", text="6 pictures edited by hand").wait_for()
    expected = [
        "mochi, 1girl, short hair, cat, outdoors", "mochi, 1girl, short hair, smile, cat, outdoors",
        "mochi, 1girl, outdoors, cat", "mochi, 1girl, cat, outdoors", "mochi, 1girl, short hair, cat, outdoors",
        "mochi, cat, outdoors",
    ]  # fmt: skip
    assert captions_of(page, ids) == expected
    saved = page.workflow()
    page.reload()
    page.load(saved)
    page.find(".la-node-line", text="6 pictures edited by hand").wait_for()
    open_editor(page)
    assert texts(page, 0) == ["mochi", "short hair", "cat", "outdoors", "1girl"]
    assert page.find(".la-unsaved").count() == 0
    assert captions_of(page, ids) == expected


def test_one_picture_is_edited_tag_by_tag_and_as_text(page: ComfyPage, album: Path) -> None:
    build(page, album)
    open_editor(page)
    page.find("#la-picture-1").click()
    side = page.find(".la-side")
    side.get_by_role("button", name="Remove “smile”").click()
    side.get_by_role("combobox").fill("grin")
    side.get_by_role("combobox").press("Enter")
    page.until(lambda: texts(page, 1) == ["mochi", "grin", "1girl", "long hair"])
    assert page.find("#la-picture-1 .la-added").inner_text() == "grin"
    assert page.find("#la-picture-1 .la-removed").inner_text() == "smile"
    side.get_by_role("button", name="Put “smile” back").click()
    page.until(lambda: "smile" in texts(page, 1))
    side.get_by_role("button", name="Edit as text").click()
    side.get_by_role("textbox", name="Edit as text").fill("a cat sits on a mat, outdoors")
    side.get_by_role("button", name="Done").click()
    page.until(lambda: texts(page, 1) == ["mochi", "a cat sits on a mat", "outdoors"])
    side.get_by_role("button", name="Revert this picture").click()
    page.until(lambda: texts(page, 1) == ["mochi", "1girl", "long hair", "smile"])


def test_captions_follow_the_thresholds_and_the_last_one_counts(page: ComfyPage, album: Path) -> None:
    """The tagger is played: what matters is what the page asks, and which answer it believes."""
    build(page, album)
    asked: list[float] = []
    held: list[Any] = []

    def answer_board(route: Any) -> None:
        answer = route.fetch()
        scores = {"has_scores": True, "threshold": 0.35, "character_threshold": 0.85}
        route.fulfill(response=answer, json=answer.json() | scores)

    def answer_captions(route: Any) -> None:
        threshold = float(route.request.url.split("?threshold=")[1].split("&")[0])
        asked.append(threshold)
        captions = {str(number): f"tag {threshold:.2f}" for number in range(len(CAPTIONS))}
        answer = {"captions": captions, "kinds": {}}
        if len(asked) == 1:
            held.append((route, answer))
        else:
            route.fulfill(json=answer)

    page.page.route("**/lora_atelier/tagging/*", answer_board)
    page.page.route("**/lora_atelier/tagging/*/captions?*", answer_captions)
    page.page.route("**/lora_atelier/tagging/*/candidates/*", lambda route: route.fulfill(
        json={"tags": [{"tag": "sky", "score": 0.21, "kind": "background"}]}))  # fmt: skip
    open_editor(page)
    page.find(".la-side").get_by_role("button", name="Add “sky” (21 %)").click()
    slider = page.find(".la-editor").get_by_role("slider", name="Threshold")
    slider.fill("0.5")
    page.until(lambda: asked)
    slider.fill("0.6")
    page.until(lambda: texts(page, 0) == ["mochi", "sky", "tag 0.60"])
    route, late = held.pop()
    route.fulfill(json=late)
    page.page.wait_for_timeout(300)
    assert texts(page, 0) == ["mochi", "sky", "tag 0.60"]
    button(page, "Save to workflow").click()
    node = "() => app.graph.nodes.find((node) => node.comfyClass === 'LoraAtelierAutoTag').id"
    tag = page.page.evaluate(node)
    assert (page.widget(tag, "threshold"), page.widget(tag, "character_threshold")) == (0.6, 0)


def test_markup_in_captions_is_text(page: ComfyPage, comfy: ComfyServer) -> None:
    build(page, make_album(comfy, [f"{MARKUP}, hat"] + ["hat"] * 5))
    open_editor(page)
    assert texts(page, 0) == ["mochi", MARKUP, "hat"]
    bulk(page, "Add", f"{MARKUP}2")
    page.find(".la-bulk").get_by_role("combobox").first.press_sequentially("<img")
    page.find(".la-suggestions li").first.wait_for()
    button(page, "Write caption files…").click()
    page.find(".la-sheet").get_by_role("button", name="Cancel").click()
    assert page.find(".la-tag-name", text=f"{MARKUP}2").count() == 1
    assert page.page.evaluate("() => window.isBroken") is None
    assert page.find(".la-editor img[src='x']").count() == 0


@pytest.mark.parametrize(("locale", "words"), [("zh", "保存到工作流"), ("zh-TW", "儲存到工作流程")])
def test_it_speaks_chinese(pages: OpenPages, album: Path, locale: str, words: str) -> None:
    with pages.show("nodes 2.0", locale).visit() as page:
        build(page, album)
        page.find(".la-node button").first.click()
        page.find(".la-editor").get_by_role("button", name=words).wait_for()
        assert page.find(".la-header").inner_text().isascii() is False
