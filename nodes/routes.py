"""The page's routes: what each must pass before it is answered, and how it answers.

ComfyUI has no passwords, and checks where a request comes from on loopback addresses only; so requests that change
something are checked here on every address. Requests that read never change anything.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from ..trainer_core.errors import TrainingError

PREFIX = "/lora_atelier"
_MOST_BYTES = 24 * 2**20
"""Of a request: the edits of some hundred thousand captions."""
_AT_ONCE = 3
"""Requests that are worked on, so that a page full of thumbnails leaves the host something to breathe."""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Reading = Callable[[web.Request], dict[str, Any] | web.Response]
Changing = Callable[[web.Request, dict[str, Any]], dict[str, Any]]


class NotThere(TrainingError):
    """What the request names does not exist, or is not the page's to see."""


class Routes:
    """Adds handlers, which are plain functions run in threads, to ComfyUI's table of routes."""

    def __init__(self, table: web.RouteTableDef) -> None:
        self._table = table
        self._free = asyncio.Semaphore(_AT_ONCE)

    def reads(self, path: str, handler: Reading) -> None:
        """Answer GET on `path`."""

        async def answer(request: web.Request) -> web.Response:
            return await _answered(self._free, handler, request)

        self._table.get(PREFIX + path)(answer)

    def changes(self, path: str, handler: Changing, *, takes_long: bool = False) -> None:
        """Answer POST on `path`, with JSON from our own page or from a program. What `takes_long` is worked on one
        request at a time, and keeps no other route waiting."""
        free = asyncio.Semaphore(1) if takes_long else self._free

        async def answer(request: web.Request) -> web.Response:
            if not _is_own(request):
                return _problem(403, "this request comes from another page")
            if request.content_type != "application/json":
                return _problem(415, "send application/json")
            try:
                value = json.loads(await _body(request))
            except ValueError as problem:
                return _problem(400, f"the request is not JSON: {problem}")
            if not isinstance(value, dict):
                return _problem(400, "the request is not a JSON object")
            return await _answered(free, handler, request, value)

        self._table.post(PREFIX + path)(answer)


async def _answered(free: asyncio.Semaphore, handler: Callable[..., Any], *arguments: Any) -> web.Response:
    async with free:
        try:
            return await asyncio.to_thread(_answer, handler, *arguments)
        except NotThere as problem:
            return _problem(404, str(problem))
        except FileNotFoundError:
            return _problem(404, "what this asks for was just deleted. Refresh the page.")
        except TrainingError as problem:
            return _problem(400, str(problem))


def _answer(handler: Callable[..., Any], *arguments: Any) -> web.Response:
    """In a thread, as the JSON of many pictures takes its time too."""
    found = handler(*arguments)
    if isinstance(found, web.Response):
        return found
    return web.Response(body=json.dumps(found).encode(), content_type="application/json", headers=_HEADERS)


def number(request: web.Request, name: str, default: float, lowest: float, highest: float) -> float:
    """A number of the query.

    Raises:
        TrainingError: it is none, or out of range.
    """
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not lowest <= value <= highest:
        raise TrainingError(f"{name} is {text!r}. Give a number from {lowest:g} to {highest:g}.")
    return value


async def _body(request: web.Request) -> bytes:
    """ValueError where it is too long."""
    data = bytearray()
    async for chunk in request.content.iter_chunked(2**16):
        data += chunk
        if len(data) > _MOST_BYTES:
            raise ValueError(f"longer than {_MOST_BYTES // 2**20} MB")
    return bytes(data)


def _is_own(request: web.Request) -> bool:
    """Whether the page that sends this was served from here; programs other than browsers name no origin."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()


def _problem(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status, headers=_HEADERS)
