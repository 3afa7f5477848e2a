"""How nodes look when they are made, in a real browser, on a real ComfyUI, with nodes drawn either way."""

from __future__ import annotations

import pytest

from tests.host.browser import ComfyPage

_TRAIN = "LoraAtelierTrainLora"
_ADVANCED = """(id) => app.graph.getNodeById(id).widgets.filter((one) => one.options.advanced)
    .map((one) => [one.name, one.hidden])"""
_PRESS = "(id) => app.graph.getNodeById(id).widgets.find((one) => one.name === 'advanced').callback()"
_LABEL = "(id) => app.graph.getNodeById(id).widgets.find((one) => one.name === 'advanced').label"
_SIZE = "(id) => [...app.graph.getNodeById(id).size]"
_COLOURS = """() => ["LORA_ATELIER_DATASET", "LORA_ATELIER_LORA"].map((type) => [
    app.canvas.default_connection_color_byType[type],
    app.canvas.constructor.link_type_colors[type],
    getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${type}`).trim(),
])"""
_EXPECTED = [["#26a69a"] * 3, ["#ec6b9b"] * 3]


@pytest.fixture
def node(page: ComfyPage) -> int:
    """Train LoRA alone."""
    return page.build([("train", _TRAIN, {})], [])["train"]


def test_advanced_settings_are_folded_until_they_are_asked_for(page, node):
    folded = page.page.evaluate(_ADVANCED, node)
    assert len(folded) > 20 and all(is_hidden for _, is_hidden in folded)
    assert page.page.evaluate(_LABEL, node) == "Show advanced settings"
    low = page.page.evaluate(_SIZE, node)[1]
    page.page.evaluate(_PRESS, node)
    assert not any(is_hidden for _, is_hidden in page.page.evaluate(_ADVANCED, node))
    assert page.page.evaluate(_LABEL, node) == "Hide advanced settings"
    assert page.page.evaluate(_SIZE, node)[1] > low + 400
    page.page.evaluate(_PRESS, node)
    assert page.page.evaluate(_SIZE, node)[1] < low + 100


def test_what_is_linked_is_shown_though_it_is_folded(page):
    """Or the link would end at another input."""
    nodes = [("number", "PrimitiveInt", {}), ("train", _TRAIN, {})]
    ids = page.build(nodes, [("number", 0, "train", "seed")])
    hidden = dict(page.page.evaluate(_ADVANCED, ids["train"]))
    assert not hidden.pop("seed") and all(hidden.values())


def test_a_workflow_remembers_that_they_are_shown(page, node):
    page.page.evaluate(_PRESS, node)
    page.load(page.workflow())
    assert not any(is_hidden for _, is_hidden in page.page.evaluate(_ADVANCED, node))


def test_what_is_folded_is_saved_and_queued_in_its_place(page):
    node = page.build([("train", _TRAIN, {"steps": 123, "validation_seed": 7})], [])["train"]
    saved = page.workflow()
    (values,) = [one["widgets_values"] for one in saved["nodes"]]
    page.load(saved)
    inputs = page.prompt()[str(node)]["inputs"]
    assert (inputs["steps"], inputs["validation_seed"]) == (123, 7)
    assert "advanced" not in inputs and [value for value in values if value is not None][-1] != ""


def test_comfyuis_setting_shows_them_always(page, node):
    setting = "(value) => app.extensionManager.setting.set('Comfy.Node.AlwaysShowAdvancedWidgets', value)"
    page.page.evaluate(setting, True)
    try:
        assert not any(is_hidden for _, is_hidden in page.page.evaluate(_ADVANCED, node))
    finally:
        page.page.evaluate(setting, False)


def test_new_nodes_are_wide_enough_for_their_texts(page):
    ids = page.build([("train", _TRAIN, {}), ("save", "LoraAtelierSaveLora", {})], [])
    assert page.page.evaluate(_SIZE, ids["train"])[0] == 420
    assert page.page.evaluate(_SIZE, ids["save"])[0] == 320


def test_sockets_keep_their_colours_in_every_palette(page):
    choose = "(name) => app.extensionManager.setting.set('Comfy.ColorPalette', name)"
    for palette in ("light", "nord", "dark"):
        page.page.evaluate(choose, palette)
        page.page.wait_for_timeout(300)
        page.until(lambda: page.page.evaluate(_COLOURS) == _EXPECTED)
