"""What the page asks of the run that is being trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from .routes import Routes
from .running import finish_now


def add_run_routes(routes: Routes) -> None:
    routes.changes("/runs/finish", _finish)


def _finish(request: web.Request, value: Mapping[str, Any]) -> dict[str, Any]:
    """Stop and keep: the graph goes on with the LoRA as it is after the next step."""
    return {"name": finish_now()}
