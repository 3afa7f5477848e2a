"""A tagger fetched when someone asked for it: the one place of the pack that talks to the internet.

Only https, also after redirects, and only to the catalogue's addresses. Hugging Face answers a HEAD of a large file
with its size and SHA-256 in `X-Linked-Size` and `X-Linked-ETag` (huggingface_hub's file_download.py reads the same).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..errors import TrainingError
from ..progress import StageReport
from .arriving_file import ArrivingFile, make_room
from .catalogue import KnownTagger, RemoteFile

MIRRORS = ("https://huggingface.co", "https://hf-mirror.com")

_USER_AGENT = "lora-atelier"
_TIMEOUT = 20
"""Seconds without a byte after which a connection counts as broken; a stop is heard that late at the latest."""
_PIECE = 1 << 18
_SECONDS_BETWEEN_REPORTS = 0.2
_MOST_REDIRECTS = 6
_REDIRECTS = (301, 302, 303, 307, 308)


def mirrors() -> tuple[str, ...]:
    """Where Hugging Face's files may come from: what HF_ENDPOINT names, then `MIRRORS`."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return tuple(dict.fromkeys([endpoint, *MIRRORS])) if endpoint else MIRRORS


class Download:
    """Iterate `steps`; close them to stop. What has arrived is kept, and the next time goes on from there."""

    def __init__(self, known: KnownTagger, folder: Path, *, mirror: str = MIRRORS[0]) -> None:
        """`folder` gets a folder named after the tagger.

        Raises:
            TrainingError: `mirror` is none of `mirrors()`.
        """
        if mirror not in mirrors():
            raise TrainingError(f"{mirror!r} is not a mirror to download from. Choose one of {', '.join(mirrors())}.")
        self._known, self._folder, self._mirror = known, folder / known.name, mirror

    def steps(self) -> Iterator[StageReport]:
        """Fetch the files that are not there, yielding the bytes of all that have arrived.

        Raises:
            TrainingError: no connection, the server has not got a file or sends another one, the disk is full or may
                not be written to.
        """
        yield StageReport(stage="connecting", done=0, total=1)
        sources = [(url, _announced(url, file, self._folder)) for url, file in self._addresses()]
        make_room(self._folder, sum(file.size - file.kept() for _, file in sources if not file.is_whole))
        total = sum(file.size for _, file in sources)
        behind = reached = 0
        for url, file in sources:
            for arrived in _fetch(url, file):
                reached = max(reached, behind + arrived)
                yield StageReport(stage=f"downloading {file.path.name}", done=reached, total=total)
            behind += file.size

    def _addresses(self) -> Iterator[tuple[str, RemoteFile]]:
        return ((_joined(f"{self._mirror}/", file.address), file) for file in self._known.files)


def _announced(url: str, file: RemoteFile, folder: Path) -> ArrivingFile:
    """Size and SHA-256 as the server tells them."""
    for answer in _answers("HEAD", url, {}):
        answer.close()
        if answer.headers["X-Linked-Size"]:
            break  # the store that this leads to may refuse a HEAD
    size = answer.headers["X-Linked-Size"] or answer.headers["Content-Length"] or ""
    if not re.fullmatch("[1-9][0-9]{0,14}", size):
        raise TrainingError(f"{_host(url)} does not say how large {file.name} is. Choose another mirror.")
    linked = re.fullmatch('"([0-9a-f]{64})"', answer.headers["X-Linked-ETag"] or "")
    return ArrivingFile(path=folder / file.name, size=int(size), sha256=file.sha256 or (linked[1] if linked else ""))


def _fetch(url: str, file: ArrivingFile) -> Iterator[int]:
    """Bytes that have arrived, until the file is in its place. A connection that breaks is made anew as long as each
    brings the file further."""
    if file.is_whole:
        yield file.size
        return
    yield (arrived := file.kept())
    while (before := arrived) < file.size:
        for arrived in _received(url, file, before):
            yield arrived
        if arrived <= before:
            raise TrainingError(
                f"the connection to {_host(url)} broke after {arrived:,} of {file.size:,} bytes of {file.path.name}. "
                "Download again: it goes on from there."
            )
    file.put_in_place()


def _received(url: str, file: ArrivingFile, start: int) -> Iterator[int]:
    """Append from byte `start` on, or write anew where the server's file has changed or it only sends whole files.
    Ends early where the connection breaks."""
    etag = file.etag()
    *_, answer = _answers("GET", url, {"Range": f"bytes={start}-", "If-Range": etag} if start and etag else {})
    with answer:
        start = start if answer.status == 206 else 0
        if not _is_rest(answer.headers, start, file.size):
            file.discard()
            raise TrainingError(
                f"{_host(url)} sends {file.path.name} in another size than it said. Download it again, or choose "
                "another mirror."
            )
        with file.appending() if start else file.beginning(answer.headers["ETag"] or "") as part:
            yield from _written(answer, part, start)


def _written(answer: HTTPResponse, part: BinaryIO, arrived: int) -> Iterator[int]:
    reported = time.monotonic()
    while piece := _next_piece(answer):
        part.write(piece)
        arrived += len(piece)
        if time.monotonic() > reported + _SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            yield arrived
    yield arrived


def _next_piece(answer: HTTPResponse) -> bytes:
    """What has come in; nothing at the end, or where the connection broke."""
    try:
        return answer.read1(_PIECE)
    except (OSError, HTTPException):
        return b""


def _is_rest(headers: Mapping[str, str], start: int, size: int) -> bool:
    """Whether an answer is a file of `size` bytes from byte `start` on."""
    is_there = not start or headers["Content-Range"] == f"bytes {start}-{size - 1}/{size}"
    return is_there and headers["Content-Length"] == str(size - start)


# ---------------------------------------------------------------------------------------------------- requests


class _RedirectsAsAnswers(HTTPRedirectHandler):
    """Hands redirects back, so that each address is looked at before it is asked."""

    def http_error_302(self, request, answer, code, message, headers):
        return answer

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _answers(method: str, url: str, headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
    """The answer to a request, and as long as that is a redirect, the answer of where it leads."""
    opener = build_opener(_RedirectsAsAnswers)
    may_be_plain = _is_this_machine(url)
    for _ in range(_MOST_REDIRECTS):
        if urlsplit(url).scheme != "https" and not (may_be_plain and _is_this_machine(url)):
            raise TrainingError(f"{url.split('?')[0]} is not https, so it is not asked. Choose another mirror.")
        request = Request(url, headers={"User-Agent": _USER_AGENT, **headers}, method=method)
        try:
            answer = opener.open(request, timeout=_TIMEOUT)
        except HTTPError as problem:
            problem.close()
            raise TrainingError(
                f"{_host(url)} does not give {url.split('?')[0]} (HTTP {problem.code}). Try again later, or choose "
                "another mirror."
            ) from problem
        except (OSError, HTTPException, ValueError) as problem:
            raise TrainingError(
                f"cannot reach {_host(url)}: {getattr(problem, 'reason', problem)}. Check the connection, or choose "
                "another mirror."
            ) from problem
        yield answer
        if answer.status not in _REDIRECTS:
            return
        answer.close()
        url = _joined(url, answer.headers["Location"] or "")
    raise TrainingError(f"{_host(url)} redirects without end. Choose another mirror.")


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address)
    except ValueError:
        raise TrainingError(f"{address!r} at {base!r} is not an address. Choose another mirror.") from None


def _is_this_machine(url: str) -> bool:
    """Plain http to oneself: how the tests, and a mirror of one's own, are reached."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname == "127.0.0.1"


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
