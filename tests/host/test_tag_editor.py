"""The tag editor in a real browser, on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.host.browser import RENDERERS, ComfyPage, open_page
from tests.host.server import ComfyServer
from trainer_core.demo import world

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

CAPTIONS = ("1girl, long hair, hat", "1girl, long hair, smile", "1girl, hat, outdoors", "1girl", "1girl, long hair", "")
MakeAlbum = Callable[[Sequence[str]], Path]
MARKUP = "<img src=x onerror=window.isBroken=1>"
TAGS = ("1girl", "long hair", "hat", "smile", "outdoors", "blue eyes", "sitting", "white shirt", "night", "tree")


@pytest.fixture(scope="module")
def make_album(comfy: ComfyServer) -> MakeAlbum:
    """Makes a folder of pictures with these captions."""
    numbers = count()

    def make(captions: Sequence[str]) -> Path:
        folder = comfy.base / "input" / f"album_{next(numbers)}"
        folder.mkdir()
        rng = random.Random(len(captions))
        for number, caption in enumerate(captions):
            world.draw(world.random_scene(rng), 64).save(folder / f"{number:04d}.png")
            (folder / f"{number:04d}.txt").write_text(caption, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def album(make_album: MakeAlbum) -> Path:
    """New for each test: ComfyUI runs no node a second time on the same folder."""
    return make_album(CAPTIONS)


def build(page: ComfyPage, album: Path) -> dict[str, int]:
    """Load Dataset, Auto Tag, and a node that shows the captions, run once; the nodes' ids."""
    nodes = [
        ("load", "LoraAtelierLoadDataset", {"folder": f"input/{album.name}"}),
        ("tag", "LoraAtelierAutoTag", {"trigger_word": "mochi"}),
        ("captions", "PreviewAny", {}),
    ]
    ids = page.build(nodes, [("load", 0, "tag", "dataset"), ("tag", 1, "captions", "source")])
    page.run()
    return ids


def captions_of(page: ComfyPage, ids: dict[str, int]) -> list[str]:
    """What Auto Tag gives now, one caption a picture."""
    text = page.run()[str(ids["captions"])]["text"][0]
    return [line.split(": ", 1)[1] for line in text.splitlines()]


def open_editor(page: ComfyPage) -> None:
    page.find(".la-node").get_by_role("button", name="Edit tags…").click()
    page.find(".la-cell").first.wait_for()


def bulk(page: ComfyPage, action: str, tags: str, new: str = "") -> None:
    bar = page.find(".la-bulk")
    bar.get_by_role("button", name=action, exact=True).click()
    bar.get_by_role("combobox").first.fill(tags)
    if new:
        bar.get_by_role("combobox").last.fill(new)
    bar.get_by_role("button", name="Apply").click()


def button(page: ComfyPage, name: str) -> Locator:
    return page.find(".la-editor").get_by_role("button", name=name, exact=True)


def texts(page: ComfyPage, number: int) -> list[str]:
    """The tags on the picture of that number."""
    return page.find(f"#la-picture-{number} .la-chip:not(.la-removed) .la-chip-text").all_inner_texts()


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


def test_comfyui_notices_what_is_saved(page: ComfyPage, album: Path) -> None:
    """It keeps the workflow and offers to undo only as it noticed it last."""
    build(page, album)
    open_editor(page)
    bulk(page, "Add", "cat")
    button(page, "Save to workflow").click()
    state = "() => JSON.stringify(app.extensionManager.workflow.activeWorkflow.changeTracker.activeState)"
    page.until(lambda: '\\"cat\\"' in page.page.evaluate(state))


def test_unsaved_edits_outlive_the_editor_and_the_page(page: ComfyPage, album: Path) -> None:
    ids = build(page, album)
    open_editor(page)
    bulk(page, "Add", "cat")
    page.until(lambda: "cat" in texts(page, 0))
    page.page.keyboard.press("Escape")
    page.until(lambda: page.find(".la-editor").count() == 0)
    page.find(".la-node-line", text="Unsaved tag edits").wait_for()
    assert page.widget(ids["tag"], "edits") == ""
    saved = page.workflow()
    page.reload()
    page.load(saved)
    page.find(".la-node-line", text="Unsaved tag edits").wait_for()
    open_editor(page)
    page.until(lambda: "cat" in texts(page, 0))
    button(page, "Discard them").click()
    page.until(lambda: "cat" not in texts(page, 0))
    button(page, "Close").first.click()
    page.find(".la-node-line", text="No picture edited by hand").wait_for()


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


def test_the_keyboard_does_it_all(page: ComfyPage, album: Path) -> None:
    build(page, album)
    nodes = page.page.evaluate("() => app.graph.nodes.length")
    open_editor(page)
    press = page.page.keyboard.press
    selected = page.find('.la-cell[aria-selected="true"]')
    press("ArrowRight")
    press("Shift+ArrowRight")
    page.until(lambda: selected.count() == 2)
    press("Control+a")
    page.until(lambda: selected.count() == len(CAPTIONS))
    press("End")
    press("Home")
    press("Space")
    page.until(lambda: selected.count() == 0)
    press("t")
    page.page.keyboard.type("cat")
    press("Enter")
    page.until(lambda: "cat" in texts(page, 0))
    press("Control+z")
    page.until(lambda: "cat" not in texts(page, 0))
    press("Control+Shift+z")
    page.until(lambda: "cat" in texts(page, 0))
    page.find(".la-grid").focus()
    press("?")
    page.find(".la-sheet", text="Keyboard").wait_for()
    press("Escape")
    page.until(lambda: page.find(".la-sheet").count() == 0)
    press("/")
    page.page.keyboard.type("(hat")
    page.find(".la-error", text="A bracket is not closed.").wait_for()
    press("Delete")
    press("Escape")
    press("Escape")
    page.until(lambda: page.find(".la-editor").count() == 0)
    assert page.page.evaluate("() => app.graph.nodes.length") == nodes


def test_the_focus_stays_inside(page: ComfyPage, album: Path) -> None:
    build(page, album)
    open_editor(page)
    for key in ["Tab"] * 60 + ["Shift+Tab"] * 5:
        page.page.keyboard.press(key)
        assert page.page.evaluate("() => document.activeElement.closest('.la-editor') !== null")


def test_markup_in_captions_is_text(page: ComfyPage, make_album: MakeAlbum) -> None:
    build(page, make_album([f"{MARKUP}, hat"] + ["hat"] * 5))
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


def test_caption_files_are_written_when_asked(page: ComfyPage, make_album: MakeAlbum) -> None:
    files = make_album(CAPTIONS)
    build(page, files)
    open_editor(page)
    bulk(page, "Add", "cat")
    (files / "0003.txt").write_text("changed by someone else", encoding="utf-8")
    button(page, "Write caption files…").click()
    page.find(".la-sheet").get_by_role("button", name="Cancel").click()
    page.until(lambda: page.find(".la-shade").count() == 0)
    assert "cat" not in (files / "0001.txt").read_text(encoding="utf-8")
    button(page, "Write caption files…").click()
    page.find(".la-sheet").get_by_role("button", name="Write").click()
    report = page.find(".la-sheet", text="written")
    report.wait_for()
    assert "cat" in (files / "0001.txt").read_text(encoding="utf-8")
    assert (files / "0003.txt").read_text(encoding="utf-8") == "changed by someone else"
    assert "0003" in report.inner_text()


def test_a_thousand_pictures_stay_quick(page: ComfyPage, thousand: Path) -> None:
    build(page, thousand)
    open_editor(page)
    seconds = page.page.evaluate(
        """async () => {
            const grid = document.querySelector(".la-grid");
            const frame = () => new Promise(requestAnimationFrame);
            const started = performance.now();
            for (let step = 1; step <= 40; step++) {
                grid.scrollTop = (step / 40) * grid.scrollHeight;
                await frame();
                await frame();
            }
            return (performance.now() - started) / 1000;
        }"""
    )
    assert seconds < 10
    page.find("#la-picture-999").wait_for()
    assert page.find(".la-cell").count() < 80
    started = time.monotonic()
    bulk(page, "Add", "one more")
    page.find(".la-status", text="1,000 pictures changed").wait_for()
    page.until(lambda: "one more" in texts(page, 999))
    button(page, "Undo").click()
    page.until(lambda: "one more" not in texts(page, 999))
    page.find(".la-search-input").fill("hat and not (smile or night)")
    page.until(lambda: "of 1,000 pictures" in page.find(".la-shown").inner_text())
    assert time.monotonic() - started < 15


@pytest.fixture
def thousand(make_album: MakeAlbum) -> Path:
    rng = random.Random(0)
    return make_album([", ".join(tag for tag in TAGS if rng.random() < 0.6) for _ in range(1000)])


def test_before_the_first_run_it_says_what_to_do(page: ComfyPage) -> None:
    page.build([("tag", "LoraAtelierAutoTag", {})], [])
    page.find(".la-node").get_by_role("button", name="Edit tags…").click()
    page.find(".la-empty", text="Queue the graph once").wait_for()
    button(page, "Close").click()
    page.until(lambda: page.find(".la-editor").count() == 0)


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
    page.page.unroute_all()


def test_a_missing_tagger_can_be_downloaded_and_stopped(page: ComfyPage) -> None:
    """The server is played: no test downloads anything."""
    download: dict[str, Any] = {}
    posted = []

    def answer(route: Any) -> None:
        tagger = {"name": "wd-vit-tagger-v3", "is_found": download.get("done") == 100, "megabytes": 379, "family": "wd"}
        route.fulfill(json={"taggers": [tagger], "download": download or None})

    def start(route: Any) -> None:
        posted.append(route.request.post_data_json)
        download.update(name="wd-vit-tagger-v3", done=0, total=379_000_000, error="", is_running=True)
        route.fulfill(json={"started": True})

    def stop(route: Any) -> None:
        download.update(is_running=False, error="stopped")
        route.fulfill(json={})

    page.page.route("**/lora_atelier/taggers", answer)
    page.page.route("**/lora_atelier/taggers/download", start)
    page.page.route("**/lora_atelier/taggers/stop", stop)
    page.build([("tag", "LoraAtelierAutoTag", {"method": "wd-vit-tagger-v3"})], [])
    node = page.find(".la-node")
    node.get_by_role("button", name="Download (379 MB)").click()
    node.get_by_text("Downloading wd-vit-tagger-v3: 0 of 379 MB").wait_for()
    download["done"] = 40_000_000
    node.get_by_text("40 of 379 MB").wait_for()
    node.get_by_role("button", name="Stop").click()
    node.get_by_role("button", name="Download (379 MB)").click()
    download["done"] = 100
    page.until(lambda: not node.get_by_text("MB").first.is_visible())
    assert posted[0] == {"name": "wd-vit-tagger-v3", "mirror": "https://huggingface.co"}
    page.page.unroute_all()


def test_the_node_keeps_its_widgets_and_hides_the_edits(page: ComfyPage) -> None:
    ids = page.build([("tag", "LoraAtelierAutoTag", {})], [])
    assert page.find(".la-node").count() == 1
    hidden = """(id) => app.graph.getNodeById(id).widgets.map((widget) =>
        [widget.name, widget.hidden ?? false, widget.options.hidden ?? false])"""
    widgets = page.page.evaluate(hidden, ids["tag"])
    assert [name for name, _, is_gone in widgets if is_gone] == ["edits"]  # rare ones are only folded away
    assert "edits" in page.prompt()[str(ids["tag"])]["inputs"]


@pytest.mark.parametrize(("locale", "words"), [("zh", "保存到工作流"), ("zh-TW", "儲存到工作流程")])
def test_it_speaks_chinese(browser: Browser, comfy: ComfyServer, album: Path, locale: str, words: str) -> None:
    with open_page(browser, comfy, RENDERERS["nodes 2.0"] | {"Comfy.Locale": locale}) as page:
        build(page, album)
        page.find(".la-node button").first.click()
        page.find(".la-editor").get_by_role("button", name=words).wait_for()
        assert page.find(".la-header").inner_text().isascii() is False


def test_pictures_are_kept_small(page: ComfyPage, album: Path) -> None:
    """Thumbnails, not the pictures themselves, go to the page."""
    build(page, album)
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    open_editor(page)
    page.page.wait_for_timeout(300)
    assert [url for url in asked if "/thumbnail/" in url]
    assert not [url for url in asked if "/view" in url]
