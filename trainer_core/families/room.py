"""Rows of tokens with room behind each: whoever reads them may write there what it makes of them, and then has both as
one matrix."""

from __future__ import annotations

import math

from torch import Tensor, nn

# Shape suffixes: T tokens of all pictures, W a row's width and its room.


def room_for(layer: nn.Module) -> int:
    """Values that a layer would write behind each row of its input, and of its answer's gradient."""
    return getattr(layer, "room", 0)


def empty_rows(like: Tensor, width: int, room: int) -> Tensor:
    """(..., width) of `like`'s format and outer sizes, not filled, with room behind each row."""
    if not room:
        return like.new_empty(*like.shape[:-1], width)
    rows = like.new_empty(*like.shape[:-1], width + room)[..., :width]
    rows.room = room
    return rows


def room_of(rows: Tensor) -> int:
    """Values behind each row that nobody has taken."""
    return getattr(rows, "room", 0)


def take_room(rows: Tensor, room: int) -> Tensor | None:
    """The rows together with their room (T, W); None where they have not this much. Only once, for whoever asks next
    would write over what the first one keeps there."""
    has, rows.room = room_of(rows), 0
    if not room or has != room:
        return None
    width = rows.shape[-1] + room
    # autograd sees one tensor, whose values nobody changes
    return rows.data.as_strided((rows.shape[:-1].numel(), width), (width, 1))


def with_even_rows(x: Tensor) -> tuple[Tensor, int]:
    """x, copied unless its rows are all as far apart, and how far they are."""
    apart = x.stride(-2) if x.dim() > 1 else x.shape[-1]
    inner = (apart * math.prod(x.shape[place:-1]) for place in range(1, x.dim()))
    return (x, apart) if x.stride() == (*inner, 1) else (x.contiguous(), x.shape[-1])
