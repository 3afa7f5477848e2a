"""A real ComfyUI as a process of its own, with its own base folder, and the few calls the tests make."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

_START_SECONDS = 600
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Installation:
    """Where ComfyUI is, and the Python that runs it."""

    folder: Path
    python: Path


_PYTHON_PLACES = ("bin/python", "Scripts/python.exe")
_PACK = Path(__file__).parents[2]


def find_installation() -> Installation:
    """The ComfyUI in COMFYUI_DIR (default ~/ComfyUI) and the Python in COMFYUI_PYTHON (default ~/comfy-venv, then
    venv or .venv inside ComfyUI).

    Raises:
        LookupError: one of them is not there; says which variable to set.
    """
    folder = Path(os.environ.get("COMFYUI_DIR") or "~/ComfyUI").expanduser()
    if not (folder / "main.py").is_file():
        raise LookupError(f"there is no ComfyUI in {folder}; set COMFYUI_DIR")
    environments = (Path("~/comfy-venv").expanduser(), folder / "venv", folder / ".venv")
    found = [environment / place for environment in environments for place in _PYTHON_PLACES]
    if os.environ.get("COMFYUI_PYTHON"):
        found = [Path(os.environ["COMFYUI_PYTHON"]).expanduser()]
    for python in found:
        if python.is_file():
            return Installation(folder, python)
    raise LookupError("there is no Python for ComfyUI; set COMFYUI_PYTHON")


def run_script(installation: Installation, script: Path, folder: Path) -> Any:
    """Run a script beside the tests in ComfyUI's Python; `folder` takes its files. The JSON of its last line."""
    environment = {**os.environ, "COMFYUI_DIR": str(installation.folder), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [installation.python, script, folder], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.strip().splitlines()[-1])


def make_base(base: Path) -> Path:
    """A base folder for ComfyUI with this pack in it, so that the installation itself stays as it is."""
    for name in ("custom_nodes", "input", "output", "user", "datasets", "models/checkpoints"):
        (base / name).mkdir(parents=True, exist_ok=True)
    link = base / "custom_nodes" / "lora-atelier"
    if not link.exists():
        link.symlink_to(_PACK, target_is_directory=True)
    return base


class ComfyServer:
    """ComfyUI running below `base`: its input/, output/, models/, user/ and custom_nodes/ are there."""

    def __init__(
        self, installation: Installation, base: Path, threads: int = 1, arguments: tuple[str, ...] = ()
    ) -> None:
        self._installation = installation
        self._threads = threads  # one by default: with two, a busy machine makes each step wait for the slower
        self._arguments = arguments
        self.base = base
        self.log_file = base / "server.log"
        self.port = _free_port()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; once it was stopped, on the port that it had before."""
        self._process = self._begin()
        self._wait_until_up()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        """GET a JSON answer."""
        return json.loads(self.read(path))

    def read(self, path: str) -> bytes:
        """GET any answer."""
        with urllib.request.urlopen(self._url(path), timeout=200) as answer:
            return answer.read()

    def status(self, path: str) -> int:
        """The status that GET answers with."""
        try:
            self.read(path)
        except urllib.error.HTTPError as refusal:
            return refusal.code
        return 200

    def post(self, path: str, value: Any) -> tuple[int, Any]:
        """POST JSON; the status and the JSON answer, if there is one."""
        request = urllib.request.Request(
            self._url(path), json.dumps(value).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=200) as answer:
                body, status = answer.read(), answer.status
        except urllib.error.HTTPError as refusal:
            body, status = refusal.read(), refusal.code
        return status, json.loads(body) if body else None

    def queue(self, graph: dict[str, Any]) -> str:
        """Queue a graph in API form; its prompt id."""
        status, answer = self.post("/prompt", {"prompt": graph})
        assert status == 200 and not answer["node_errors"], json.dumps(answer, indent=1)
        return answer["prompt_id"]

    def wait(self, prompt_id: str, seconds: float = 900) -> dict[str, Any]:
        """The prompt's history entry, once it has ended in whatever way."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if entry := self.get(f"/history/{prompt_id}").get(prompt_id):
                return entry
            assert self._process.poll() is None, f"ComfyUI ended:\n{self.log()[-3000:]}"
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"no end after {seconds} s:\n{self.log()[-3000:]}")

    def run(self, graph: dict[str, Any], seconds: float = 900) -> dict[str, Any]:
        """Queue a graph, wait for it, and give what its nodes show, by node id."""
        entry = self.wait(self.queue(graph), seconds)
        assert entry["status"]["status_str"] == "success", error_message(entry)
        return entry["outputs"]

    def view(self, picture: dict[str, str]) -> bytes:
        """A picture that a node shows."""
        return self.read(f"/view?{urlencode(picture)}")

    def _begin(self) -> subprocess.Popen[bytes]:
        folder = self._installation.folder
        command = [
            self._installation.python, folder / "main.py", "--cpu", "--disable-api-nodes",
            "--listen", "127.0.0.1", "--port", str(self.port), "--base-directory", self.base,
            "--database-url", f"sqlite:///{self.base / 'comfyui.db'}",  # else in ComfyUI's folder, for all that run it
            *self._arguments,
        ]  # fmt: skip
        settings = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(self._threads)}
        environment = {**os.environ, **settings}
        with open(self.log_file, "ab") as log:
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.read("/system_stats")
                return
            except OSError:
                time.sleep(_POLL_SECONDS)
        self.stop()
        raise RuntimeError(f"ComfyUI did not start:\n{self.log()[-3000:]}")

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def error_message(entry: dict[str, Any]) -> str:
    """What a failed prompt told the user."""
    for kind, details in entry["status"]["messages"]:
        if kind == "execution_error":
            return details["exception_message"]
    return f"no error; the prompt ended with {entry['status']}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
