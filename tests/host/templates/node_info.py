"""What /object_info says of nodes, read as the page reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NodeInfo = dict[str, dict[str, Any]]
"""What ComfyUI says of each node."""
Spec = tuple[str, str, dict[str, Any]]
"""Name, type and options of an input."""

HOLLOW = 7
"""How the page draws a socket that may stay empty."""
_WIDGETS = ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN", "COMFY_DYNAMICCOMBO_V3")


def inputs_of(about: dict[str, Any]) -> Iterator[Spec]:
    """A node's inputs in the order of the page: required ones, then optional ones."""
    for group in ("required", "optional"):
        for name in about["input_order"].get(group, []):
            kind, *rest = about["input"][group][name]
            options = rest[0] if rest else {}
            yield (name, "COMBO", {**options, "options": kind}) if isinstance(kind, list) else (name, kind, options)


def is_widget(kind: str, options: dict[str, Any]) -> bool:
    return kind in _WIDGETS and not options.get("forceInput")
