"""The health card and the buttons of kept epochs, in a real browser on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image, ImageFilter
from safetensors import safe_open

from tests.host.browser import ComfyPage, OpenPages
from tests.host.graphs import SLIM
from tests.host.made_runs import MadeRun, make_run
from tests.host.runs import loras_folder, runs_folder
from tests.host.server import ComfyServer
from trainer_core.demo import world

if TYPE_CHECKING:
    from playwright.sync_api import Locator


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


def test_the_report_is_told_in_the_language_of_the_page(
    page: ComfyPage, pages: OpenPages, troubled: str, renderer: str
) -> None:
    page.build([("load", "LoraAtelierLoadDataset", {"folder": troubled}), ("see", "PreviewAny", {})], [
        ("load", 1, "see", "source"),
    ])  # fmt: skip
    page.run()
    page.find(".la-health-finding").first.wait_for()
    workflow = page.workflow()
    with pages.show(renderer, "zh").visit() as chinese:
        chinese.load(workflow)
        chinese.find(".la-health-text", text="1 张图片只有一种颜色").wait_for()
        chinese.find(".la-health-advice", text="去掉这些图片").wait_for()


def test_check_dataset_says_how_many_steps_there_are(page: ComfyPage, troubled: str) -> None:
    nodes = [
        ("load", "LoraAtelierLoadDataset", {"folder": troubled}),
        ("crop", "LoraAtelierSmartCrop", {"width": 64, "height": 64}),
        ("check", "LoraAtelierCheckDataset", {"epochs": 3}),
    ]
    page.build(nodes, [("load", 0, "crop", "dataset"), ("crop", 0, "check", "dataset")])
    page.run()
    page.find(".la-health-advice", text="= 30 steps").wait_for()


def test_an_epoch_is_used_by_a_press_and_a_name(page: ComfyPage, pictures: str, renderer: str) -> None:
    """The same training in both renderers: the second one only reads what the first has trained, and draws."""
    drawing = {"width": 64, "height": 64, "steps": 1, "seed": len(renderer)}
    train = {"base_model": SLIM, "name": "pressed", "epochs": 2, "rank": 4, "validate_every_epochs": 0}
    nodes = [
        ("sheet", "LoraAtelierEpochSheet", {"prompts": "mochi", "cell": 64} | drawing),  # first, so that it is in view
        ("sample", "LoraAtelierPreviewSample", {"prompt": "mochi"} | drawing),
        ("load", "LoraAtelierLoadDataset", {"folder": pictures}),
        ("crop", "LoraAtelierSmartCrop", {"width": 64, "height": 64}),
        ("train", "LoraAtelierTrainLora", train),
    ]
    links = [("load", 0, "crop", "dataset"), ("crop", 0, "train", "dataset")]
    links += [("train", 0, "sheet", "lora"), ("train", 0, "sample", "lora")]
    page.build(nodes, links)
    page.run()
    offered = [["Use epoch 1", "Use epoch 2"], ["Use epoch 2"]]
    page.until(lambda: epochs_offered(page) == offered)
    page.until(lambda: previews(page) == [])
    sheet, sample = page.find(".la-use").all()
    prefix = renderer.split()[0]  # a file of the same name and content would not be written again
    assert told_in(use(page, sheet.locator("button").first, f"{prefix} early"), "ss_epoch") == "1"
    assert told_in(use(page, sample.locator("button"), f"{prefix} last"), "ss_epoch") == "2"
    page.build(nodes, links)  # another workflow, for which ComfyUI has every answer in its cache
    page.run()
    page.find(".la-run:not([hidden])").wait_for(state="attached")  # it may be out of view
    workflow = page.workflow()
    page.reload()
    page.load(workflow)
    page.until(lambda: epochs_offered(page) == offered)
    page.find(".la-run:not([hidden])").wait_for(state="attached")  # it may be out of view


def test_of_several_saves_of_an_epoch_the_pressed_one_is_used(
    page: ComfyPage, comfy: ComfyServer, renderer: str
) -> None:
    made = MadeRun(name=f"often-saved-{renderer.split()[0]}", epochs=2, saved_steps=(200,))
    saves = [{"epoch": 1, "step": 120}, {"epoch": 2, "step": 200}, {"epoch": 2, "step": 240}]
    left = {"run": make_run(runs_folder(comfy), made), "name": made.name}
    page.build([("sheet", "LoraAtelierEpochSheet", {})], [])
    workflow = page.workflow()
    epochs = [saved | {"loss": 0.1, "is_best": False} for saved in saves]
    workflow["nodes"][0]["properties"] = {"lora_atelier_epochs": left | {"epochs": epochs}}
    page.load(workflow)
    buttons = page.find(".la-use-epoch")
    page.until(lambda: buttons.count() == 3)
    facts = page.find(".la-use-loss").all_text_contents()
    assert facts == ["loss 0.1000", "step 200 · loss 0.1000", "step 240 · loss 0.1000"]
    for number, saved in enumerate(saves):
        file = use(page, buttons.nth(number), f"{made.name} {saved['step']}")
        assert told_in(file, "ss_steps") == str(saved["step"])


def epochs_offered(page: ComfyPage) -> list[list[str]]:
    """What the buttons below each node say."""
    says = "(one) => [...one.querySelectorAll('.la-use-epoch > span:first-child')].map((span) => span.textContent)"
    return page.page.eval_on_selector_all(".la-use", f"(panels) => panels.map({says})")


def previews(page: ComfyPage) -> list[str]:
    """The nodes that show a picture from their work, which Nodes 2.0 draws above what came of it."""
    return page.page.evaluate("() => Object.keys(app.nodePreviewImages)")


def use(page: ComfyPage, button: Locator, name: str) -> Path:
    """Press it and give the name; the file that this makes."""
    loras = loras_folder(page.server)
    before = set(loras.glob("*.safetensors"))
    button.click()
    page.page.get_by_role("dialog").get_by_role("textbox").fill(name)
    page.page.keyboard.press("Enter")
    page.page.get_by_text(f"Saved as {name}.safetensors").wait_for()
    (made,) = set(loras.glob("*.safetensors")) - before
    assert made.stem == name
    return made


def told_in(lora: Path, key: str) -> str:
    """Of its metadata."""
    with safe_open(lora, "pt") as file:
        return file.metadata()[key]
