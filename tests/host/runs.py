"""Runs of a server: their folders, the LoRAs that come of them, and what it tells of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.host.server import ComfyServer
from trainer_core.training.run import STEP_LOG


def runs_folder(server: ComfyServer) -> Path:
    return server.base / "output" / "lora_atelier" / "runs"


def loras_folder(server: ComfyServer) -> Path:
    """Where nodes put LoRAs for Load LoRA."""
    return server.base / "output" / "loras"


def folders_of(server: ComfyServer, name: str) -> list[Path]:
    """The folders of the runs of that name; none before one has begun."""
    return sorted(runs_folder(server).glob(f"{name}-*"))


def steps_logged(run: Path) -> int:
    log = run / STEP_LOG
    return len(log.read_text(encoding="utf-8").splitlines()) if log.is_file() else 0


def history(server: ComfyServer, run: str) -> dict[str, Any]:
    return server.get(f"/lora_atelier/runs/history?run={quote(run)}")


def listed_runs(server: ComfyServer) -> list[dict[str, Any]]:
    return server.get("/lora_atelier/runs")["runs"]


def run_named(server: ComfyServer, name: str) -> dict[str, Any]:
    """The one run of that name, as it is listed."""
    (found,) = [run for run in listed_runs(server) if run["name"] == name]
    return found
