"""What the page asks about taggers: which there are, and the download of one that the user pressed the button for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from ..trainer_core.errors import TrainingError
from ..trainer_core.tagging.catalogue import CATALOGUE, KnownTagger
from ..trainer_core.tagging.download import Download, mirrors
from ..trainer_core.tagging.finding import TaggerPlaces
from .routes import Routes


class TaggerRoutes:
    """The routes below /lora_atelier/taggers. One download runs at a time; its folder is the pack's own."""

    def __init__(self, places: Callable[[], TaggerPlaces], list_found: Callable[[], list[str]]) -> None:
        self._places, self._list_found = places, list_found
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def add(self, routes: Routes) -> None:
        routes.reads("/taggers", self._show)
        routes.changes("/taggers/download", self._download)
        routes.changes("/taggers/stop", self._stop)

    def _show(self, request: web.Request) -> dict[str, Any]:
        found = self._list_found()
        taggers = [
            {
                "name": known.name,
                "family": known.family,
                "megabytes": known.megabytes,
                "licence": known.licence,
                "is_found": known.name in found,
            }
            for known in CATALOGUE
        ]
        running = self._running
        return {"taggers": taggers, "mirrors": list(mirrors()), "download": running.state() if running else None}

    def _download(self, request: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
        known = next((known for known in CATALOGUE if known.name == value.get("name")), None)
        if known is None:
            raise TrainingError(f"there is no tagger {value.get('name')!r} to download.")
        download = Download(known, self._places().ours, mirror=str(value.get("mirror") or mirrors()[0]))
        with self._lock:
            if self._running and self._running.is_alive():
                raise TrainingError(f"{self._running.name} is being downloaded. Wait for it, or stop it first.")
            self._running = _Running(known, download)
            self._running.start()
        return {"started": True}

    def _stop(self, request: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
        if self._running:
            self._running.stop()
        return {"stopped": True}


class _Running(threading.Thread):
    """A download in a thread of its own; what has arrived stays when it is stopped."""

    def __init__(self, known: KnownTagger, download: Download) -> None:
        super().__init__(name=known.name, daemon=True)
        self._download = download
        self._is_stopped = threading.Event()
        self._state: dict[str, Any] = {"name": known.name, "done": 0, "total": known.size_bytes, "error": ""}

    def run(self) -> None:
        steps = self._download.steps()
        try:
            for report in steps:
                self._state = {**self._state, "done": report.done, "total": report.total}
                if self._is_stopped.is_set():
                    self._state = {**self._state, "error": "stopped"}
                    return
        except TrainingError as problem:
            self._state = {**self._state, "error": str(problem)}
        finally:
            steps.close()

    def stop(self) -> None:
        self._is_stopped.set()

    def state(self) -> dict[str, Any]:
        return {**self._state, "is_running": self.is_alive()}
