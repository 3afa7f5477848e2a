"""Learning-rate factors of a UNet's blocks, written as users of block weights know them.

    IN00-03=0, MID=0.5, OUT07=1.5          a block or a range of blocks, and its factor
    down_lr_weight=0,0,… up_lr_weight=…     kohya's lists, one number for each block of that side
    0,0,0,0,1,1, …                          the whole UNet: every IN, then MID, then every OUT

Blocks are those of the original layout: IN04 is input_blocks.4. SD1.5 has IN00-IN11, MID and OUT00-OUT11; SDXL
has IN00-IN08, MID and OUT00-OUT08. IN00 is the first convolution, which never has an adapter. A block that is not
named keeps factor 1; factor 0 means that it is not trained and gets no adapter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import TrainingError

_LARGEST = 100.0
_RANGE = re.compile(r"(IN|OUT)(\d{1,2})(?:-(\d{1,2}))?|MID", re.IGNORECASE)
_LISTS = {"down_lr_weight": "IN", "mid_lr_weight": "MID", "up_lr_weight": "OUT"}
_EXAMPLE = 'Write block weights such as "IN00-03=0, MID=0.5, OUT07=1.5"; blocks that are not named keep 1.'


@dataclass(frozen=True, slots=True)
class BlockWeights:
    """The factor of each named block."""

    factors: Mapping[str, float]
    """"IN04", "MID" or "OUT11" -> factor of the learning rate."""
    list_lengths: tuple[int, ...] = ()
    """How many blocks each given list counts on one side; a UNet must have exactly as many."""

    def factor(self, block: str) -> float:
        """Factor of a block; "" is what belongs to no block, such as a text encoder's layers."""
        return self.factors.get(block, 1.0)

    def check_fits(self, blocks: int) -> None:
        """Refuse weights for another UNet than one with `blocks` blocks on each side.

        Raises:
            TrainingError: a block that the UNet does not have, or a list of another length.
        """
        if wrong := [length for length in self.list_lengths if length != blocks]:
            raise TrainingError(
                f"a list of block weights has {wrong[0]} numbers for a side, but this base model has {blocks} blocks "
                f"there. Give {blocks} numbers for a side, or {2 * blocks + 1} in all."
            )
        absent = [block for block in self.factors if block != "MID" and int(block.lstrip("INOUT")) >= blocks]
        if absent:
            raise TrainingError(
                f"this base model has no block {absent[0]}. "
                f"It has IN00-IN{blocks - 1:02d}, MID and OUT00-OUT{blocks - 1:02d}."
            )


def read_block_weights(text: str) -> BlockWeights:
    """Parse block weights; an empty text gives every block factor 1.

    Raises:
        TrainingError: an entry that cannot be understood, by its text.
    """
    factors: dict[str, float] = {}
    lengths: list[int] = []
    for name, numbers in _entries(text):
        if name == "":
            blocks = _whole_unet(numbers)
        elif name.lower() in _LISTS:
            blocks = _side(_LISTS[name.lower()], numbers)
        else:
            blocks = _range(name, numbers)
        if name == "" or name.lower() in ("down_lr_weight", "up_lr_weight"):
            lengths.append(len(numbers) if name else len(numbers) // 2)
        if twice := sorted(factors.keys() & blocks):
            raise TrainingError(f"block weights name {twice[0]} twice. Name each block once.")
        factors |= blocks
    return BlockWeights(factors, tuple(lengths))


def _entries(text: str) -> list[tuple[str, list[float]]]:
    """(name, numbers) of each entry; numbers that follow no name come under "" and must be first."""
    entries: list[tuple[str, list[float]]] = []
    for word in re.sub(r"\s*=\s*", "=", text).replace(",", " ").replace(";", " ").split():
        name, equals, number = word.rpartition("=")
        if equals or not entries:
            entries.append((name, []))
        entries[-1][1].append(_number(number, word))
    return entries


def _number(text: str, word: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _LARGEST:
        raise TrainingError(f"{word!r} in the block weights is not a factor between 0 and {_LARGEST:g}. {_EXAMPLE}")
    return value


def _whole_unet(numbers: Sequence[float]) -> dict[str, float]:
    if len(numbers) % 2 == 0:
        raise TrainingError(
            f"a list of block weights for the whole UNet has {len(numbers)} numbers. "
            "Give 25 for SD1.5 (12 IN, MID, 12 OUT) or 19 for SDXL (9 IN, MID, 9 OUT)."
        )
    half = len(numbers) // 2
    return _side("IN", numbers[:half]) | {"MID": numbers[half]} | _side("OUT", numbers[half + 1 :])


def _side(side: str, numbers: Sequence[float]) -> dict[str, float]:
    if side == "MID":
        return _range("MID", numbers)
    return {f"{side}{number:02d}": factor for number, factor in enumerate(numbers)}


def _range(name: str, numbers: Sequence[float]) -> dict[str, float]:
    match = _RANGE.fullmatch(name)
    if not match or len(numbers) != 1:
        what = f"{name!r} has {len(numbers)} numbers" if match else f"there is no block {name!r}"
        raise TrainingError(f"{what} in the block weights. {_EXAMPLE}")
    if not match[1]:
        return {"MID": numbers[0]}
    first, last = int(match[2]), int(match[3] or match[2])
    if last < first:
        raise TrainingError(f"{name!r} in the block weights runs backwards. {_EXAMPLE}")
    return {f"{match[1].upper()}{number:02d}": numbers[0] for number in range(first, last + 1)}
