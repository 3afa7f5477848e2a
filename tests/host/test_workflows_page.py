"""Several workflows on one page: what is left of nodes that are gone, and whose is what a run leaves."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.host.browser import ComfyPage
from tests.host.server import ComfyServer

_COUNT_TIMERS = """() => {
    const { setInterval, clearInterval } = window;
    window.timersLeft = new Set();
    window.countNoMore = () => Object.assign(window, { setInterval, clearInterval });
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
_QUEUE_AND_GO_ON = "async (other) => { await app.queuePrompt(0, 1); await app.loadGraphData(other); }"


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
    page.page.evaluate("() => window.countNoMore()")


def test_a_workflow_that_remembers_nonsense_opens(page: ComfyPage) -> None:
    kinds = ("EpochSheet", "PreviewSample", "AutoTag", "SmartCrop", "CheckDataset")
    nodes = [(kind, f"LoraAtelier{kind}", {}) for kind in kinds]
    train = page.build([*nodes, ("train", "LoraAtelierTrainLora", {"name": "the last one"})], [])["train"]
    workflow = page.workflow()
    for node in workflow["nodes"]:
        node["properties"] |= {
            "lora_atelier_epochs": {"run": 5}, "lora_atelier_board": [1], "lora_atelier_crops": {},
            "lora_atelier_health": 7, "lora_atelier_preset": "none",
        }  # fmt: skip
    page.build([], [])
    page.load(workflow)
    assert page.widget(train, "name") == "the last one"
    assert page.find(".la-use .la-node-line").count() == 2


def test_what_a_run_leaves_is_for_its_own_workflow(page: ComfyPage, comfy: ComfyServer) -> None:
    """Another one is in view as the run ends, whose node has the same number; then the first one again."""
    folder = comfy.base / "input" / "many"
    folder.mkdir(exist_ok=True)
    for number in range(150):  # so many that the other workflow is there before they are read
        Image.new("RGB", (512, 512), (number, 90, 90)).save(folder / f"{page.page.evaluate('Date.now()')}-{number}.png")
    load = ("load", "LoraAtelierLoadDataset", {"folder": "input/many"})
    other = (page.build([load], []), page.workflow())[1]
    page.build([load], [])
    mine = page.workflow()
    page.load(mine)
    page.page.evaluate(_QUEUE_AND_GO_ON, other)
    board = "() => app.graph.nodes[0].properties.lora_atelier_health ?? null"
    page.until(lambda: not comfy.get("/queue")["queue_running"] + comfy.get("/queue")["queue_pending"], 60)
    page.page.wait_for_timeout(500)
    assert page.page.evaluate(board) is None
    page.load(mine)
    page.until(lambda: page.page.evaluate(board) is not None)


def test_so_it_is_where_the_page_was_loaded_anew_meanwhile(page: ComfyPage) -> None:
    """The server, which is played, knows of which workflow it is that is being run."""
    load = ("load", "LoraAtelierLoadDataset", {})
    other = (page.build([load], []), page.workflow())[1]
    page.build([load], [])
    mine = page.workflow()
    running = [1, "a-prompt", {}, {"extra_pnginfo": {"workflow": {"id": mine["id"]}}}, []]
    page.page.route("**/queue", lambda route: route.fulfill(json={"queue_running": [running], "queue_pending": []}))
    with page.page.expect_response("**/queue"):
        page.reload()
    page.load(other)
    end = """async (output) => {
        const { api } = await import("/scripts/api.js");
        api.dispatchCustomEvent("executed", { prompt_id: "a-prompt", node: "1", display_node: "1", output });
    }"""
    page.page.evaluate(end, {"lora_atelier_health": ["of the first"]})
    board = "() => app.graph.nodes[0].properties.lora_atelier_health ?? null"
    assert page.page.evaluate(board) is None
    page.load(mine)
    page.until(lambda: page.page.evaluate(board) == "of the first")


def test_undoing_takes_nothing_away_that_a_run_left(page: ComfyPage, album: Path) -> None:
    load = page.build([("load", "LoraAtelierLoadDataset", {"folder": f"input/{album.name}"})], [])["load"]
    board = f"() => app.graph.getNodeById({load}).properties.lora_atelier_health ?? null"
    notice = "() => app.extensionManager.workflow.activeWorkflow.changeTracker.captureCanvasState()"
    page.page.evaluate(notice)
    page.run()
    page.until(lambda: page.page.evaluate(board) is not None)
    left = page.page.evaluate(board)
    page.set_widget(load, "repeats", 7)
    page.page.evaluate(notice)
    page.page.evaluate("() => app.extensionManager.workflow.activeWorkflow.changeTracker.undo()")
    page.until(lambda: page.widget(load, "repeats") == 1)
    assert page.page.evaluate(board) == left
    page.find(".la-health-counts").wait_for()
