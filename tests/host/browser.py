"""ComfyUI's page in a real browser, and the few things the tests do with it.

CHROMIUM says where the browser is (default /usr/bin/chromium, as Debian installs it). Playwright drives it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.host.server import ComfyServer
from tests.host.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

RENDERERS = {"classic": {"Comfy.VueNodes.Enabled": False}, "nodes 2.0": {"Comfy.VueNodes.Enabled": True}}
"""How ComfyUI draws nodes, and its settings for that."""

NewNode = tuple[str, str, dict[str, Any]]
"""A name of its own, the node's type, values of widgets."""
NewLink = tuple[str, int, str, str]
"""From a node's output to a node's input, nodes and input by name."""

WINDOW = {"width": 1400, "height": 900}

_SETTLED = "() => window.app?.extensionManager && window.app.graph && !window.app.extensionManager.spinner"
_SLOW = 300_000
"""Milliseconds; a page takes 8 s on an idle machine of the faster ones."""
_POLL = 50
"""Milliseconds."""
_PATIENCE = 100
"""Seconds for what takes a moment: other tests take the cores too, and machines differ by four times."""
_ENGLISH = {"Comfy.Locale": "en"}
_FIRST_SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.0.0", "Comfy.ColorPalette": "dark"}

_BUILD = """({ nodes, links }) => {
    app.graph.clear();
    app.graph.id = crypto.randomUUID();
    const made = {};
    for (const [name, type, values] of nodes) {
        const node = LiteGraph.createNode(type);
        node.pos = [80 + 420 * Object.keys(made).length, 120];
        app.graph.add(node);
        for (const [widget, value] of Object.entries(values)) {
            const found = node.widgets.find((one) => one.name === widget);
            found.value = value;
            found.callback?.(value);
        }
        made[name] = node;
    }
    for (const [from, output, to, input] of links) {
        made[from].connect(output, made[to], made[to].inputs.findIndex((one) => one.name === input));
    }
    return Object.fromEntries(Object.entries(made).map(([name, node]) => [name, node.id]));
}"""
_QUEUE = """async () => {
    const { api } = await import("/scripts/api.js");
    const end = new Promise((resolve) => {
        for (const kind of ["execution_success", "execution_error", "execution_interrupted"]) {
            api.addEventListener(kind, (event) => resolve([kind, event.detail]), { once: true });
        }
    });
    await app.queuePrompt(0, 1);
    return end;
}"""
_SET_WIDGET = """([id, name, value]) => {
    const widget = app.graph.getNodeById(id).widgets.find((one) => one.name === name);
    widget.value = value;
    widget.callback?.(value);
}"""
_WAKE = """() => {
    window.goOn?.();
    app.canvas.startRendering();
}"""
_REST = """async () => {
    document.querySelectorAll(".la-editor").forEach((editor) => editor.remove());
    const { toast, workflow } = app.extensionManager;
    toast.removeAll();
    for (const other of [...workflow.openWorkflows]) {
        if (other !== workflow.activeWorkflow) await workflow.closeWorkflow(other);
    }
    app.clean();
    app.graph.clear();
    app.canvas.ds.reset();
    app.canvas.stopRendering();
    const [request, waiting] = [window.requestAnimationFrame, []];
    window.requestAnimationFrame = (draw) => waiting.push(draw);
    window.goOn = () => {
        window.requestAnimationFrame = request;
        delete window.goOn;
        waiting.forEach((draw) => request(draw));
    };
}"""
_HEAR = """async (event) => {
    const { api } = await import("/scripts/api.js");
    api.dispatchCustomEvent("lora_atelier.run", event);
}"""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window.

    Raises:
        LookupError: there is no Playwright or no Chromium; says what to install.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise LookupError("there is no Playwright; pip install playwright") from None
    chromium = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    if not chromium.is_file():
        raise LookupError(f"there is no Chromium in {chromium}; apt-get install chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium))
        yield browser
        browser.close()


@contextmanager
def open_page(browser: Browser, server: ComfyServer, settings: dict[str, Any]) -> Iterator[ComfyPage]:
    """A page, in English unless the settings say otherwise, that must end without an error that nothing caught."""
    page = ComfyPage(browser, server, _ENGLISH | settings)
    try:
        yield page
    finally:
        page.page.close()
    assert page.problems == []


class OpenPages:
    """One page for each way of drawing nodes and each language: loading it takes longer than most tests."""

    def __init__(self, browser: Browser, server: ComfyServer) -> None:
        self._browser = browser
        self._server = server
        self._open: dict[tuple[str, str], ComfyPage] = {}

    def show(self, renderer: str, locale: str = "en") -> ComfyPage:
        """The page, loaded if no test before has asked for it."""
        kind = renderer, locale
        if kind not in self._open:
            settings = RENDERERS[renderer] | {"Comfy.Locale": locale}
            self._open[kind] = ComfyPage(self._browser, self._server, settings)
        return self._open[kind]


class ComfyPage:
    """One browser page that shows ComfyUI. `problems` are errors that no code of the page caught, and those that our
    files wrote to its console."""

    def __init__(self, browser: Browser, server: ComfyServer, settings: dict[str, Any]) -> None:
        self.server = server
        self.page: Page = browser.new_page(viewport=WINDOW, base_url=f"http://127.0.0.1:{server.port}")
        self.page.set_default_timeout(_PATIENCE * 1000)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda problem: self.problems.append(str(problem)))
        self.page.on("console", self._hear_console)
        self._settings = _FIRST_SETTINGS | settings
        self.reload()

    def _hear_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "/extensions/" in message.location["url"]:
            self.problems.append(message.text)

    def set(self, settings: dict[str, Any]) -> None:
        """Change ComfyUI's settings; the page reads them when it loads."""
        self._settings |= settings

    def reload(self) -> None:
        self.server.post("/api/settings", self._settings)  # it has those of the page that was loaded last
        self.page.goto("/", wait_until="domcontentloaded", timeout=_SLOW)
        self.page.wait_for_function(_SETTLED, timeout=_SLOW)

    @contextmanager
    def visit(self) -> Iterator[Self]:
        """For one test, which answers for the errors of its own. Nothing of it stays, and until the next the page
        gets no frame to draw: ComfyUI's loops take a tenth of a core for each page."""
        self.problems.clear()
        self.page.evaluate(_WAKE)
        try:
            yield self
        finally:
            self.page.unroute_all()
            self.page.evaluate(_REST)
        assert self.problems == []

    def build(self, nodes: list[NewNode], links: list[NewLink]) -> dict[str, int]:
        """Put a new graph in place of the old one; the nodes' ids by name."""
        return self.page.evaluate(_BUILD, {"nodes": nodes, "links": links})

    def workflow(self) -> dict[str, Any]:
        """The workflow as a file would hold it."""
        return self.page.evaluate("() => app.graph.serialize()")

    def load(self, workflow: dict[str, Any]) -> None:
        self.page.evaluate("(workflow) => app.loadGraphData(workflow)", workflow)

    def prompt(self) -> dict[str, Any]:
        """What Run would queue, in API form."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def queue(self) -> None:
        """Press Run; the page goes on meanwhile."""
        self.page.evaluate("() => void app.queuePrompt(0, 1)")

    def run(self) -> dict[str, Any]:
        """Press Run, wait, and give what the nodes show, by node id."""
        kind, detail = self.page.evaluate(_QUEUE)
        assert kind == "execution_success", detail
        return self.server.wait(detail["prompt_id"])["outputs"]

    def widget(self, node: int, name: str) -> Any:
        find = "([id, name]) => app.graph.getNodeById(id).widgets.find((widget) => widget.name === name).value"
        return self.page.evaluate(find, [node, name])

    def set_widget(self, node: int, name: str, value: Any) -> None:
        """As a user does it, so that the node hears of it."""
        self.page.evaluate(_SET_WIDGET, [node, name, value])

    def command(self, name: str) -> None:
        """Give one of ComfyUI's commands, as its menus and keys do."""
        self.page.evaluate("(name) => app.extensionManager.command.execute(name)", name)

    def hear(self, event: dict[str, Any]) -> None:
        """Give the page what a server tells of a run."""
        self.page.evaluate(_HEAR, event)

    def find(self, selector: str, text: str | None = None) -> Locator:
        """Elements by CSS, of those the ones that contain `text`."""
        return self.page.locator(selector, has_text=text)

    def until(self, condition: Callable[[], Any], seconds: float = _PATIENCE) -> None:
        """Wait for `condition`; the page goes on meanwhile."""
        wait_until(condition, seconds, pause=lambda: self.page.wait_for_timeout(_POLL))
