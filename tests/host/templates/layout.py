"""Where the nodes of a template stand: stages from left to right, in each its columns, above them the notes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from .graph import Template

Box = tuple[int, int, int, int]
"""Left, top, width, height in pixels of the canvas."""

_GAP = 40
_PAD = 20
_TITLE = 30
"""Height of a node's title, which stands above its top."""
_GROUP_TITLE = 44
_NOTE_WIDTH = 620
_LINE = 19
_LATIN_IN_A_LINE = 96

_SIZES = {
    "LoraAtelierLoadDataset": (340, 190),
    "LoraAtelierSmartCrop": (340, 290),
    "LoraAtelierAutoTag": (420, 350),
    "LoraAtelierCheckDataset": (340, 160),
    "LoraAtelierDatasetPictures": (340, 130),
    "LoraAtelierLoraNetwork": (340, 330),
    "LoraAtelierNoiseAndLoss": (340, 175),
    "LoraAtelierCaptionOptions": (340, 200),
    "LoraAtelierSamples": (340, 400),
    "LoraAtelierTrainLora": (440, 720),
    "LoraAtelierSaveLora": (340, 100),
    "LoraAtelierPreviewSample": (340, 450),
    "LoraAtelierEpochSheet": (340, 410),
    "PreviewImage": (440, 400),
    "PreviewAny": (440, 260),
    "CheckpointLoaderSimple": (340, 110),
    "LoraLoader": (340, 140),
    "CLIPTextEncode": (340, 140),
    "EmptyLatentImage": (340, 120),
    "KSampler": (340, 270),
    "VAEDecode": (340, 60),
    "CLIPLoader": (340, 120),
    "TextGenerate": (420, 360),
}
"""Width and height of each node, large enough in both renderers."""
_ROOM = {
    "LoraAtelierLoadDataset": 260,
    "LoraAtelierSmartCrop": 80,
    "LoraAtelierAutoTag": 80,
    "LoraAtelierCheckDataset": 290,
    "LoraAtelierTrainLora": 620,
    "LoraAtelierPreviewSample": 340,
    "LoraAtelierEpochSheet": 340,
}
"""Pixels kept free below a node for what it shows after a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    nodes: dict[str, Box]
    groups: dict[str, Box]
    notes: tuple[Box, ...]


def lay_out(template: Template, notes: Iterable[str]) -> Layout:
    """Places for a template's nodes, for the frames of its stages, and for notes of these texts."""
    nodes: dict[str, Box] = {}
    groups: dict[str, Box] = {}
    left = 0
    for stage in template.stages:
        x = left + _PAD
        for column in stage.columns:
            placed = _stack(template, column, x)
            nodes |= placed
            x = max(box[0] + box[2] for box in placed.values()) + _GAP
        groups[stage.title] = (left, 0, x - _GAP + _PAD - left, 0)
        left = x - _GAP + _PAD + _GAP
    bottom = max(box[1] + box[3] + _ROOM.get(template.nodes[name].type, 0) for name, box in nodes.items()) + _PAD
    groups = {title: (x, y, width, bottom) for title, (x, y, width, _) in groups.items()}
    return Layout(nodes=nodes, groups=groups, notes=_above([*notes]))


def _stack(template: Template, column: tuple[str, ...], x: int) -> dict[str, Box]:
    placed: dict[str, Box] = {}
    y = _GROUP_TITLE + _TITLE
    for name in column:
        kind = template.nodes[name].type
        width, height = _SIZES[kind]
        placed[name] = (x, y, width, height)
        y += height + _ROOM.get(kind, 0) + _GAP + _TITLE
    return placed


def _above(notes: list[str]) -> tuple[Box, ...]:
    """Side by side, all as high as the longest needs."""
    height = max(_TITLE + sum(map(_lines, note.split("\n"))) * _LINE for note in notes)
    tops = -_GAP - height
    return tuple((index * (_NOTE_WIDTH + _GAP), tops, _NOTE_WIDTH, height) for index in range(len(notes)))


def _lines(paragraph: str) -> int:
    """How many lines it takes; a Chinese letter is as wide as two Latin ones."""
    return ceil(sum(2 if ord(letter) > 0x2E80 else 1 for letter in paragraph) / _LATIN_IN_A_LINE) or 1
