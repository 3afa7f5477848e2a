"""What ComfyUI sends to a page: a WebSocket client that only listens."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from threading import Thread
from typing import Any, BinaryIO

_TEXT, _CLOSE = 1, 8


class Listener:
    """Gathers the events of one name, from when it is made until it is closed."""

    def __init__(self, port: int, event: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._stream = self._socket.makefile("rb")
        self._greet(port)
        Thread(target=self._listen, args=(event,), daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _greet(self, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            "GET /ws?clientId=listener HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "",
        )  # fmt: skip
        self._socket.sendall("\r\n".join(lines).encode())
        assert b" 101 " in self._stream.readline()
        while self._stream.readline().strip():
            pass

    def _listen(self, event: str) -> None:
        try:
            while frame := _frame(self._stream):
                kind, data = frame
                if kind == _CLOSE:
                    return
                if kind == _TEXT and (message := json.loads(data))["type"] == event:
                    self.heard.append(message["data"])
        except OSError:  # it was closed
            pass


def _frame(stream: BinaryIO) -> tuple[int, bytes] | None:
    """Kind and content; a server sends its frames unmasked."""
    head = stream.read(2)
    if len(head) < 2:
        return None
    length = head[1] & 127
    if length >= 126:
        (length,) = struct.unpack(">H" if length == 126 else ">Q", stream.read(2 if length == 126 else 8))
    return head[0] & 15, stream.read(length)
