"""The network of DeepDanbooru v3 (Kim Kichang, https://github.com/KichangKim/DeepDanbooru), in PyTorch.

A bottleneck ResNet (He et al. 2015, arXiv:1512.03385) of 179 convolutions whose normalisation is folded into their
weights. Numbers, names and shapes are those of model-resnet_custom_v3.pt
(https://github.com/AUTOMATIC1111/TorchDeepDanbooru, MIT).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 512
"""Pixels of the square pictures that it was trained on."""
_EXPANSION = 4
"""Channels of a block's ends over those of its inside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stage:
    """Blocks of one width. The first halves the picture, and has a convolution in its shortcut."""

    width: int
    """Inner channels over those of the first stage."""
    blocks: int
    stride: int = 2
    is_shortcut_numbered_last: bool = False


_STAGES = (
    _Stage(width=1, blocks=3, stride=1),
    _Stage(width=2, blocks=8),
    _Stage(width=4, blocks=20),
    _Stage(width=4, blocks=20, is_shortcut_numbered_last=True),
    _Stage(width=8, blocks=3),
    _Stage(width=16, blocks=3),
)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding "same": as many pixels out as in over the stride, odd ones at the end."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return super().forward(_padded(x_BCHW, self.kernel_size[0], self.stride[0], 0.0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Block:
    """Three convolutions beside a shortcut."""

    body: tuple[SameConv2d, SameConv2d, SameConv2d]
    shortcut: SameConv2d | None
    numbered: tuple[SameConv2d, ...]
    """All of them, in the order that the file numbers them."""

    def __call__(self, x_BCHW: Tensor) -> Tensor:
        first, second, third = self.body
        changed = third(F.relu(second(F.relu(first(x_BCHW)))))
        return F.relu(changed + (self.shortcut(x_BCHW) if self.shortcut else x_BCHW))


class DeepDanbooruNetwork(nn.Module):
    """`n_Conv_0` to `n_Conv_178`. `width` is that of the first stage: thinner networks have the same plan."""

    def __init__(self, *, width: int, tags: int) -> None:
        super().__init__()
        self._blocks = list(_blocks(width))  # a list is no submodule: each convolution has one name, the file's
        first = SameConv2d(3, width, 7, stride=2)
        last = SameConv2d(_STAGES[-1].width * width * _EXPANSION, tags, 1, bias=False)
        between = (convolution for block in self._blocks for convolution in block.numbered)
        for number, convolution in enumerate((first, *between, last)):
            self.add_module(f"n_Conv_{number}", convolution)

    def forward(self, pictures_BHWC: Tensor) -> Tensor:
        """Scores (B, tags), 0 to 1, of RGB pictures (B, height, width, 3), 0 to 1."""
        x = F.relu(self.n_Conv_0(pictures_BHWC.permute(0, 3, 1, 2)))
        x = F.max_pool2d(_padded(x, 3, 2, -torch.inf), 3, stride=2)
        for block in self._blocks:
            x = block(x)
        return self.n_Conv_178(x).mean(dim=(2, 3)).sigmoid()


def _blocks(width: int) -> Iterator[_Block]:
    inputs = width
    for stage in _STAGES:
        for index in range(stage.blocks):
            yield _block(inputs, stage.width * width, stage, is_first=index == 0)
            inputs = stage.width * width * _EXPANSION


def _block(inputs: int, inner: int, stage: _Stage, *, is_first: bool) -> _Block:
    stride = stage.stride if is_first else 1
    body = (
        SameConv2d(inputs, inner, 1),
        SameConv2d(inner, inner, 3, stride=stride),
        SameConv2d(inner, inner * _EXPANSION, 1),
    )
    if not is_first:
        return _Block(body=body, shortcut=None, numbered=body)
    shortcut = SameConv2d(inputs, inner * _EXPANSION, 1, stride=stride)
    numbered = (*body, shortcut) if stage.is_shortcut_numbered_last else (shortcut, *body)
    return _Block(body=body, shortcut=shortcut, numbered=numbered)


def _padded(x_BCHW: Tensor, kernel: int, stride: int, value: float) -> Tensor:
    """TensorFlow's padding "same" (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2)."""
    above, below = _same_padding(x_BCHW.shape[2], kernel, stride)
    left, right = _same_padding(x_BCHW.shape[3], kernel, stride)
    return F.pad(x_BCHW, (left, right, above, below), value=value) if above or below or left or right else x_BCHW


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    padding = max(0, (outputs - 1) * stride + kernel - size)
    return padding // 2, padding - padding // 2
