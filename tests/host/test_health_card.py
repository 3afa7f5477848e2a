"""The health card and the buttons of kept epochs, in a real browser on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

import random

import pytest
from PIL import Image, ImageFilter

from tests.host.browser import ComfyPage
from tests.host.graphs import SLIM
from tests.host.server import ComfyServer
from trainer_core.demo import world


@pytest.fixture(scope="module")
def troubled(comfy: ComfyServer) -> str:
    """A folder with a black picture, a blurred one and a broken file, as Load Dataset lists it."""
    folder = comfy.base / "input" / "troubled"
    folder.mkdir()
    rng = random.Random(1)
    for number in range(8):
        world.draw(world.random_scene(rng), 128).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a drawn scene, number " + "abcdefgh"[number], encoding="utf-8")
    world.draw(world.random_scene(rng), 128).filter(ImageFilter.GaussianBlur(6)).save(folder / "blurred.png")
    Image.new("RGB", (128, 128)).save(folder / "black.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return "input/troubled"


def levels(page: ComfyPage) -> list[str]:
    return page.page.eval_on_selector_all(".la-health-finding", "rows => rows.map((row) => row.dataset.level)")


def test_the_report_stands_on_the_node_worst_first_and_survives_a_reload(page: ComfyPage, troubled: str) -> None:
    page.build([("load", "LoraAtelierLoadDataset", {"folder": troubled}), ("see", "PreviewAny", {})], [
        ("load", 1, "see", "source"),
    ])  # fmt: skip
    page.find(".la-health", text="Queue the graph once").wait_for()
    page.run()
    page.find(".la-health-finding").first.wait_for()
    found = levels(page)
    assert found == sorted(found, key=["stop", "warn", "note"].index) and found[0] == "stop"
    assert page.find(".la-health-finding").first.locator(".la-health-text").inner_text().startswith(
        "1 picture shows nothing but one colour"
    )  # fmt: skip
    assert "1 skipped" in page.find(".la-health-counts").inner_text()
    page.find(".la-health-finding summary").first.click()
    page.find(".la-health-file", text="black.png").wait_for()
    picture = page.find(".la-health-thumb img").first
    page.until(lambda: picture.evaluate("image => image.complete && image.naturalWidth") == 128)
    workflow = page.workflow()
    page.reload()
    page.load(workflow)
    page.find(".la-health-finding").first.wait_for()
    assert levels(page) == found


def test_the_report_is_told_in_the_language_of_the_page(page: ComfyPage, troubled: str) -> None:
    page.build([("load", "LoraAtelierLoadDataset", {"folder": troubled}), ("see", "PreviewAny", {})], [
        ("load", 1, "see", "source"),
    ])  # fmt: skip
    page.run()
    page.find(".la-health-finding").first.wait_for()
    workflow = page.workflow()
    try:
        page.set({"Comfy.Locale": "zh"})
        page.reload()
        page.load(workflow)
        page.find(".la-health-text", text="1 张图片只有一种颜色").wait_for()
        page.find(".la-health-advice", text="去掉这些图片").wait_for()
    finally:
        page.set({"Comfy.Locale": "en"})
        page.reload()


def test_check_dataset_says_how_many_steps_there_are(page: ComfyPage, troubled: str) -> None:
    nodes = [
        ("load", "LoraAtelierLoadDataset", {"folder": troubled}),
        ("crop", "LoraAtelierSmartCrop", {"width": 64, "height": 64}),
        ("check", "LoraAtelierCheckDataset", {"epochs": 3}),
    ]
    page.build(nodes, [("load", 0, "crop", "dataset"), ("crop", 0, "check", "dataset")])
    page.run()
    page.find(".la-health-advice", text="= 30 steps").wait_for()


def test_an_epoch_is_used_by_a_press_and_a_name(page: ComfyPage, pictures: str) -> None:
    """The same graph in both renderers: the second one only reads what the first has trained."""
    drawing = {"prompts": "mochi", "width": 64, "height": 64, "steps": 1, "cell": 64}
    nodes = [
        ("sheet", "LoraAtelierEpochSheet", drawing),  # first, so that it is in view
        ("load", "LoraAtelierLoadDataset", {"folder": pictures}),
        ("crop", "LoraAtelierSmartCrop", {"width": 64, "height": 64}),
        ("train", "LoraAtelierTrainLora", {"base_model": SLIM, "name": "pressed", "epochs": 2, "rank": 4}),
    ]
    links = [("load", 0, "crop", "dataset"), ("crop", 0, "train", "dataset"), ("train", 0, "sheet", "lora")]
    page.build(nodes, links)
    page.run()
    page.until(lambda: page.find(".la-use-epoch").count() == 2)
    loras = page.server.base / "output" / "loras"
    before = set(loras.glob("*.safetensors"))
    name = f"my choice {len(before)}"  # a file of the same name and content would not be written again
    page.find(".la-use-epoch").first.click()
    page.page.get_by_role("dialog").get_by_role("textbox").fill(name)
    page.page.keyboard.press("Enter")
    page.until(lambda: len(set(loras.glob("*.safetensors")) - before) == 1, 30)
    (file,) = set(loras.glob("*.safetensors")) - before
    assert file.stem == name
    page.page.get_by_text(f"Saved as {file.name}").wait_for()
    workflow = page.workflow()
    page.reload()
    page.load(workflow)
    page.until(lambda: page.find(".la-use-epoch").count() == 2)
