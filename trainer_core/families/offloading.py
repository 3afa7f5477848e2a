"""Frozen weights of the UNet that wait in the CPU's memory, and come to the device block by block as they are needed.

A block's weights come in one piece. While a block computes, the next one is on its way, over a stream of its own: which
one that is, is known from the pass before, for each step goes through the blocks in the same order, forwards and
backwards. Two blocks lie on the device at a time. What is computed stays the same, bit for bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from math import prod

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from ..devices import is_gpu
from .quantised import Quantised

_BLOCKS = (BasicTransformerBlock, ResnetBlock2D)
_ALIGNMENT = 256
"""Bytes; where a tensor begins within its block."""


def offload(unet: nn.Module, device: str) -> Conveyor:
    """Take the weights of the blocks' layers off the UNet. The layers are those that `quantise` makes.

    What does not belong to a transformer or residual block stays: 3 % of SDXL.
    """
    conveyor = Conveyor(device)
    for layers in layers_of_blocks(unet):
        block = StoredBlock([tensor for layer in layers for tensor in layer.stored()], device)
        for place, layer in enumerate(layers):
            layer.keep_elsewhere(partial(conveyor.tensors, block, slice(2 * place, 2 * place + 2)))
    return conveyor


def layers_of_blocks(unet: nn.Module) -> list[list[Quantised]]:
    """The layers whose weights can be taken off, block by block, in the order of the modules."""
    blocks = (module for module in unet.modules() if isinstance(module, _BLOCKS))
    found = [[layer for layer in block.modules() if isinstance(layer, Quantised)] for block in blocks]
    return [layers for layers in found if layers]


def bytes_taken_off(unet: nn.Module) -> int:
    """What `offload` frees on the device: all blocks but the two largest, for any two may follow one another."""
    sizes = sorted(
        sum(tensor.nbytes for layer in layers for tensor in layer.stored()) for layers in layers_of_blocks(unet)
    )
    return sum(sizes[:-2])


class StoredBlock:
    """Tensors in one piece of the CPU's memory, pinned where a GPU is to read it."""

    def __init__(self, tensors: Sequence[Tensor], device: str) -> None:
        starts = [0]
        for tensor in tensors:
            starts.append(-(-(starts[-1] + tensor.nbytes) // _ALIGNMENT) * _ALIGNMENT)
        is_pinned = is_gpu(device)
        self.piece = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=is_pinned)
        self._forms = [(start, tensor.dtype, tensor.shape) for start, tensor in zip(starts, tensors, strict=False)]
        for stored, tensor in zip(self.views(self.piece), tensors, strict=True):
            stored.copy_(tensor)

    def views(self, piece: Tensor) -> list[Tensor]:
        """The tensors in a copy of the piece."""
        return [
            piece[start : start + prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
            for start, dtype, shape in self._forms
        ]


class Conveyor:
    """Has the block that is used on the device, and the one that will be used next on its way."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._stream = torch.cuda.Stream(self._device) if is_gpu(self._device) else None
        self._coming: dict[StoredBlock, tuple[Tensor, torch.cuda.Event | None]] = {}
        self._here: list[Tensor] = []
        self._before: StoredBlock | None = None
        self._now: StoredBlock | None = None
        self._next: dict[tuple[StoredBlock | None, StoredBlock], StoredBlock] = {}
        self.surprises = 0
        """How often a block was needed that was not on its way."""

    def tensors(self, block: StoredBlock, part: slice) -> Sequence[Tensor]:
        """Some of a block's tensors, on the device."""
        if block is not self._now:
            self._go_on_to(block)
        return self._here[part]

    def _go_on_to(self, block: StoredBlock) -> None:
        if self._now is not None:
            self._next[self._before, self._now] = block
        self._before, self._now = self._now, block
        self.surprises += block not in self._coming
        piece, sent = self._coming.get(block) or self._send(block)
        self._coming.clear()
        if sent is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(sent)
            piece.record_stream(stream)  # it was made on the other one, and is given back once this one is done with it
        self._here = block.views(piece)
        following = self._next.get((self._before, block))
        if following is not None and following is not block:
            self._coming[following] = self._send(following)

    def _send(self, block: StoredBlock) -> tuple[Tensor, torch.cuda.Event | None]:
        with torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            piece = block.piece.to(self._device, non_blocking=True, copy=True)
            return piece, self._stream.record_event() if self._stream else None
