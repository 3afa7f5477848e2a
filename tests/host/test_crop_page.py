"""The crop editor in a real browser, on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.host.browser import ComfyPage
from tests.host.server import ComfyServer
from trainer_core.demo import world

if TYPE_CHECKING:
    from playwright.sync_api import Locator

MakeFolder = Callable[[int], str]


@pytest.fixture(scope="module")
def make_folder(comfy: ComfyServer) -> MakeFolder:
    """Makes a folder of so many wide pictures, 300 x 200 pixels, as Load Dataset lists it."""
    numbers = count()

    def make(pictures: int) -> str:
        name = f"wide_{next(numbers)}"
        folder = comfy.base / "input" / name
        folder.mkdir()
        rng = random.Random(pictures)
        for number in range(pictures):
            square = world.draw(world.random_scene(rng), 200)
            picture = Image.new("RGB", (300, 200), "white")
            picture.paste(square, (rng.randrange(100), 0))
            picture.save(folder / f"{number:04d}.png")
        return f"input/{name}"

    return make


def build(page: ComfyPage, folder: str, settings: dict[str, object]) -> dict[str, int]:
    nodes = [
        ("load", "LoraAtelierLoadDataset", {"folder": folder}),
        ("crop", "LoraAtelierSmartCrop", {"width": 64, "height": 64, "method": "center"} | settings),
        ("report", "PreviewAny", {}),
    ]
    return page.build(nodes, [("load", 0, "crop", "dataset"), ("crop", 2, "report", "source")])


def open_editor(page: ComfyPage) -> None:
    page.find(".la-node").get_by_role("button", name="Edit crops…").click()


def button(page: ComfyPage, name: str) -> Locator:
    return page.find(".la-editor").get_by_role("button", name=name, exact=True)


def drag(page: ComfyPage, target: Locator, x: int, y: int) -> None:
    box = target.bounding_box()
    start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.page.mouse.move(*start)
    page.page.mouse.down()
    page.page.mouse.move(start[0] + x / 2, start[1] + y / 2)
    page.page.mouse.move(start[0] + x, start[1] + y)
    page.page.mouse.up()


def facts(page: ComfyPage, picture: int) -> str:
    return page.find(f"#la-crop-{picture} .la-crop-facts").inner_text()


def test_before_the_first_run_the_editor_says_to_queue_once(page: ComfyPage, make_folder: MakeFolder) -> None:
    build(page, make_folder(1), {})
    open_editor(page)
    page.find(".la-editor h1", text="No crops to show yet").wait_for()
    button(page, "Close").click()
    page.until(lambda: page.find(".la-editor").count() == 0)


def test_a_window_that_is_dragged_is_the_crop_of_the_next_run(page: ComfyPage, make_folder: MakeFolder) -> None:
    ids = build(page, make_folder(3), {})
    report = page.run()[str(ids["report"])]["text"][0]
    assert "center 3" in report
    open_editor(page)
    page.find("#la-crop-1").wait_for()
    assert facts(page, 1) == "200 × 200 · center"
    drag(page, page.find("#la-crop-1 .la-crop-window"), 400, 0)
    page.until(lambda: facts(page, 1) == "200 × 200 · set by hand")
    drag(page, page.find("#la-crop-2 .la-crop-se"), -60, -60)
    page.until(lambda: "set by hand" in facts(page, 2))
    size = int(facts(page, 2).split(" × ")[0])
    assert 80 < size < 200
    button(page, "Save to workflow").click()
    button(page, "Close").click()
    overrides = page.widget(ids["crop"], "overrides").splitlines()
    assert overrides == ["0001.png: 100, 0, 300, 200", f"0002.png: 50, 0, {50 + size}, {size}"]
    page.find(".la-node-line", text="2 crops set by hand").wait_for()
    assert "override 2" in page.run()[str(ids["report"])]["text"][0]
    (crop,) = [node for node in page.workflow()["nodes"] if node["type"] == "LoraAtelierSmartCrop"]
    board = crop["properties"]["lora_atelier_crops"]
    automatic = page.server.get(f"/lora_atelier/crops/{board}")["pictures"]
    assert [picture["window"] for picture in automatic] == [[50, 0, 250, 200]] * 3


def test_undo_redo_reset_and_arrow_keys(page: ComfyPage, make_folder: MakeFolder) -> None:
    ids = build(page, make_folder(2), {"overrides": "0001.png: left"})
    page.run()
    open_editor(page)
    page.find("#la-crop-0").wait_for()
    keyboard = page.page.keyboard
    keyboard.press("Shift+ArrowRight")
    keyboard.press("ArrowRight")
    page.until(lambda: "set by hand" in facts(page, 0))
    keyboard.press("Control+z")
    button(page, "Save to workflow").click()
    assert page.widget(ids["crop"], "overrides") == "0000.png: 60, 0, 260, 200\n0001.png: left"
    keyboard.press("Control+Shift+z")
    keyboard.press("Control+s")
    page.until(lambda: "0000.png: 61" in page.widget(ids["crop"], "overrides"))
    page.find("#la-crop-1").get_by_role("button", name="Back to Smart Crop's choice").click()
    page.until(lambda: facts(page, 1) == "200 × 200 · center")
    button(page, "Save to workflow").click()
    page.until(lambda: page.widget(ids["crop"], "overrides") == "0000.png: 61, 0, 261, 200")


def test_closing_asks_before_changes_are_lost(page: ComfyPage, make_folder: MakeFolder) -> None:
    ids = build(page, make_folder(1), {})
    page.run()
    open_editor(page)
    page.find("#la-crop-0").wait_for()
    page.page.keyboard.press("ArrowLeft")
    page.until(lambda: "set by hand" in facts(page, 0))
    page.page.keyboard.press("Escape")
    page.find(".la-sheet").get_by_role("button", name="Discard changes").click()
    page.until(lambda: page.find(".la-editor").count() == 0)
    assert page.widget(ids["crop"], "overrides") == ""


def test_with_buckets_an_edge_changes_the_shape(page: ComfyPage, make_folder: MakeFolder) -> None:
    ids = build(page, make_folder(1), {"buckets": True})
    page.run()
    open_editor(page)
    page.find("#la-crop-0").wait_for()
    height = facts(page, 0).split(" · ")[0].split(" × ")[1]
    drag(page, page.find("#la-crop-0 .la-crop-e"), -90, 0)
    page.until(lambda: "set by hand" in facts(page, 0))
    shown = facts(page, 0).split(" · ")[0].split(" × ")
    assert int(shown[0]) < 240 and shown[1] == height
    trained = page.find("#la-crop-0 .la-crop-facts").get_attribute("title").removeprefix("Trained at ")
    button(page, "Save to workflow").click()
    report = page.run()[str(ids["report"])]["text"][0]
    assert f"bucket {trained.replace('×', 'x')}:" in report.replace("×", "x")


def test_a_thousand_pictures_stay_few_in_the_page(page: ComfyPage, make_folder: MakeFolder) -> None:
    build(page, make_folder(1000), {})
    page.run()
    open_editor(page)
    page.find("#la-crop-0").wait_for()
    page.page.keyboard.press("Control+End")
    page.find("#la-crop-999").wait_for()
    assert page.find(".la-crop-cell").count() < 80
