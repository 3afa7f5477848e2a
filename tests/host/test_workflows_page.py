"""Several workflows on one page: what is left of nodes that are gone, and whose is what a run leaves."""

from __future__ import annotations

from tests.host.browser import ComfyPage

_COUNT_TIMERS = """() => {
    const { setInterval, clearInterval } = window;
    window.timersLeft = new Set();
    window.setInterval = (act, pause, ...more) => {
        const timer = setInterval(act, pause, ...more);
        if (pause === 300) window.timersLeft.add(timer);
        return timer;
    };
    window.clearInterval = (timer) => {
        window.timersLeft.delete(timer);
        clearInterval(timer);
    };
}"""
_INTO_SUBGRAPH = "(id) => void app.graph.convertToSubgraph(new Set([app.graph.getNodeById(id)]))"


def test_nothing_is_left_running_for_nodes_that_are_gone(page: ComfyPage) -> None:
    page.page.evaluate(_COUNT_TIMERS)
    left = "() => window.timersLeft.size"
    train = page.build([("train", "LoraAtelierTrainLora", {})], [])["train"]
    assert page.page.evaluate(left) == 1
    page.page.evaluate("(id) => app.canvas.selectItems([app.graph.getNodeById(id)])", train)
    page.page.evaluate("() => void app.canvas.copyToClipboard()")
    assert page.page.evaluate(left) == 1
    page.page.evaluate(_INTO_SUBGRAPH, train)
    workflow = page.workflow()
    for _ in range(3):
        page.load(workflow)
    assert page.page.evaluate(left) == 1
    page.build([], [])
    page.load(page.workflow())
    assert page.page.evaluate(left) == 0


def test_a_workflow_that_remembers_nonsense_opens(page: ComfyPage) -> None:
    kinds = ("EpochSheet", "PreviewSample", "AutoTag", "SmartCrop", "TrainLora", "CheckDataset")
    page.build([(kind, f"LoraAtelier{kind}", {}) for kind in kinds], [])
    workflow = page.workflow()
    for node in workflow["nodes"]:
        node["properties"] |= {
            "lora_atelier_epochs": {"run": 5}, "lora_atelier_board": [1], "lora_atelier_crops": {}, 
            "lora_atelier_health": 7, "lora_atelier_preset": "none",
        }  # fmt: skip
    page.load(workflow)
    assert len(page.workflow()["nodes"]) == len(kinds)
    assert page.find(".la-use .la-node-line").count() == 2
