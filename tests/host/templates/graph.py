"""What a template says, by names: nodes with the settings that matter, and the stages they are shown in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DEMO_FOLDER = "demo/10_mochi (comes with the pack)"
DEMO_REGULARISATION = "demo/regularisation (comes with the pack)"
DEMO_BASE = "demo base (comes with the pack)"
TRIGGER = "mochi"
"""The trigger word of the demo folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node: what differs from its defaults, and where its sockets come from."""

    type: str
    title: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    """Input -> "node.output"."""
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """A titled frame around columns of nodes."""

    title: str
    columns: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """One file in example_workflows/. Its notes are notes/<name>.md and notes/<name>.zh.md."""

    name: str
    nodes: dict[str, Node]
    stages: tuple[Stage, ...]
    photo: tuple[str, ...]
    """The nodes that its picture shows."""
