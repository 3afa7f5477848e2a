"""What ComfyUI's page is told of a node at work: progress, pictures, lines, events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy.cli_args import args
from comfy_api.latest import io
from comfy_execution.utils import get_executing_context
from PIL import Image
from server import PromptServer

_SECONDS_BETWEEN_PICTURES = 3


class Progress:
    """A node's progress bar, which is also where a press on Stop takes effect."""

    def __init__(self) -> None:
        self._bar = comfy.utils.ProgressBar(1)
        self._total = 1
        self._drawn_at = 0.0

    def reached(self, done: int, total: int, draw: Callable[[], Image.Image] | None = None) -> None:
        """Show how far the work is; every few seconds with the picture that `draw` gives.

        Raises:
            Interrupted: the user pressed Stop.
        """
        is_time = draw is not None and time.monotonic() > self._drawn_at + _SECONDS_BETWEEN_PICTURES
        picture = draw() if is_time else None
        if picture:
            self._drawn_at = time.monotonic()
        self._total = total
        self._bar.update_absolute(done, total, ("JPEG", picture, None) if picture else None)
        comfy.model_management.throw_exception_if_processing_interrupted()

    def finish(self, picture: Image.Image) -> None:
        """Leave `picture` on the node: the classic renderer goes on showing the last one sent once the node is done."""
        self._bar.update_absolute(self._total, self._total, ("JPEG", picture, None))


def show_lines(node: type[io.ComfyNode], lines: Sequence[str]) -> None:
    """Show a few lines under a node that is being run. ComfyUI's newer renderer runs them together, so each is marked
    where there are several."""
    mark = "• " if len(lines) > 1 else ""
    PromptServer.instance.send_progress_text("\n".join(mark + line for line in lines), node.hidden.unique_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which node of which graph is being run, as the page knows it."""

    workflow: str | None
    """The workflow's id; None where a program sent the graph."""
    node: str
    """In a subgraph with the numbers of the nodes around it, as in "3:1"."""
    prompt: str | None


def place_of(node: type[io.ComfyNode]) -> Place:
    """Where a node that is being run stands. The node must ask for the hidden unique_id and extra_pnginfo."""
    workflow, context = workflow_of(node), get_executing_context()
    return Place(
        workflow=workflow.get("id") if workflow else None,
        node=str(node.hidden.unique_id),
        prompt=context.prompt_id if context else None,
    )


def workflow_of(node: type[io.ComfyNode]) -> dict[str, Any] | None:
    """The graph as the page had it when it was queued; None where a program sent it."""
    return (node.hidden.extra_pnginfo or {}).get("workflow")


def send_to_page(event: str, values: dict[str, Any]) -> None:
    """To every page that is open; where several people share this ComfyUI, to the one that queued only."""
    PromptServer.instance.send_sync(event, values, PromptServer.instance.client_id if args.multi_user else None)


def route_table():
    """ComfyUI's own, to which packs add before it starts to listen."""
    return PromptServer.instance.routes


def to_image(pictures: list[Image.Image]) -> torch.Tensor:
    """PIL pictures of one size as ComfyUI's IMAGE: (B, H, W, 3), 0..1."""
    pixels = np.stack([np.asarray(picture.convert("RGB"), dtype=np.float32) for picture in pictures])
    return torch.from_numpy(pixels / 255)
