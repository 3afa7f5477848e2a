"""Presets on Train LoRA in a real browser, on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.host.browser import ComfyPage
from tests.host.server import ComfyServer
from trainer_core.training.presets import presets


@pytest.fixture
def node(page: ComfyPage) -> int:
    """Train LoRA alone, with its panel filled."""
    ids = page.build([("train", "LoraAtelierTrainLora", {})], [])
    page.find(".la-node").get_by_role("button", name="Apply preset").and_(page.find(":enabled")).wait_for()
    page.command("Comfy.Canvas.FitView")
    return ids["train"]


def apply(page: ComfyPage, subject: str, family: str, memory: int) -> None:
    page.find(".la-node").get_by_label("What is trained").select_option(subject)
    page.find(".la-node").get_by_label("Base model").select_option(family)
    page.find(".la-node").get_by_label("GPU memory").select_option(str(memory))
    page.find(".la-node").get_by_role("button", name="Apply preset").click()


def preset_of(server: ComfyServer, subject: str, family: str, memory: int) -> dict[str, Any]:
    listed = server.get("/lora_atelier/presets")["presets"]
    (found,) = [one for one in listed if (one["subject"], one["family"], one["memory"]) == (subject, family, memory)]
    return found


def lines(page: ComfyPage) -> list[str]:
    return page.find(".la-node .la-lines p").all_text_contents()


def label(page: ComfyPage, node: int, name: str) -> str:
    """What a widget is called on the node."""
    find = "([id, name]) => app.graph.getNodeById(id).widgets.find((widget) => widget.name === name)"
    return page.page.evaluate(f"(place) => (({{ label, name }}) => label || name)(({find})(place))", [node, name])


def test_every_preset_names_widgets_that_train_lora_has(comfy: ComfyServer) -> None:
    listed = comfy.get("/lora_atelier/presets")["presets"]
    inputs = comfy.get("/object_info/LoraAtelierTrainLora")["LoraAtelierTrainLora"]["input"]["required"]
    assert len(listed) == len(presets())
    for one in listed:
        assert one["fields"].keys() <= inputs.keys()
        assert one["reasons"].keys() <= one["fields"].keys()
    nodes = {"Smart Crop": "SmartCrop", "Noise and Loss": "NoiseAndLoss", "Caption Options": "CaptionOptions"}
    for name, widgets in {(name, tuple(widgets)) for one in listed for name, widgets in one["needs"].items()}:
        node = f"LoraAtelier{nodes[name]}"
        assert set(widgets) <= comfy.get(f"/object_info/{node}")[node]["input"]["required"].keys()


def test_a_preset_fills_the_widgets_and_they_stay_through_a_reload(page: ComfyPage, node: int) -> None:
    wanted = preset_of(page.server, "anime character", "SD1.5", 16)
    apply(page, "anime character", "SD1.5", 16)
    assert {name: page.widget(node, name) for name in wanted["fields"]} == pytest.approx(wanted["fields"])
    before = lines(page)
    assert before[0].startswith("Set: ") and "rank 32" in before[0]
    assert before[1:] == [
        "On Smart Crop: width 512, height 512",
        "On Caption Options: shuffle on",
        "On Noise and Loss: min_snr_gamma 5",
    ]
    saved = page.workflow()
    page.reload()
    page.load(saved)
    assert {name: page.widget(node, name) for name in wanted["fields"]} == pytest.approx(wanted["fields"])
    page.until(lambda: lines(page) == before)
    assert page.find(".la-node").get_by_label("GPU memory").input_value() == "16"


def test_a_widget_that_was_changed_since_is_named(page: ComfyPage, node: int) -> None:
    apply(page, "person", "SDXL", 12)
    page.set_widget(node, "learning_rate", 5e-5)
    page.until(lambda: lines(page)[-1] == "Changed: learning_rate")
    assert label(page, node, "learning_rate").endswith("●") and not label(page, node, "rank").endswith("●")
    page.set_widget(node, "learning_rate", 1e-4)
    page.until(lambda: "Changed" not in lines(page)[-1])
    assert not label(page, node, "learning_rate").endswith("●")


def test_the_next_preset_leaves_nothing_of_the_one_before(page: ComfyPage, node: int) -> None:
    apply(page, "anime character", "SD1.5", 12)
    assert page.widget(node, "unet_rate") == pytest.approx(2e-4) and page.widget(node, "clip_skip") == 2
    apply(page, "style", "SDXL", 24)
    assert page.widget(node, "unet_rate") == -1 and page.widget(node, "clip_skip") == 1


def test_sdxl_offers_no_memory_that_it_does_not_fit(page: ComfyPage, node: int) -> None:
    memory = page.find(".la-node").get_by_label("GPU memory")
    page.find(".la-node").get_by_label("Base model").select_option("SD1.5")
    memory.select_option("6")
    page.find(".la-node").get_by_label("Base model").select_option("SDXL")
    assert memory.input_value() == "8" and memory.locator("option").all_text_contents()[0] == "8 GB"
