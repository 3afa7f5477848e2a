"""Of transformer blocks that are alike, only the first is gone through to count a step's memory.

SDXL has 70 of them, of two kinds: operation by operation they are most of what a count takes. The others take at once
what the first took, and at the same times, so that the count is the same to a few bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..families.room import empty_rows, room_of
from ..lora.layer import AdapterLayer
from ..lora.low_rank import LoraLayer
from .memory_count import MemoryCount


class _Outline(NamedTuple):
    """A tensor without what it holds."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    requires_grad: bool
    room: int
    """families/room.py"""

    @staticmethod
    def of(tensor: Tensor) -> _Outline:
        return _Outline(tensor.shape, tensor.stride(), tensor.dtype, tensor.requires_grad, room_of(tensor))

    def made(self) -> Tensor:
        """One like it, without a gradient."""
        if self.room:
            return empty_rows(torch.empty((), dtype=self.dtype).expand(self.shape), self.shape[-1], self.room)
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype)

    def as_input(self) -> Tensor:
        return self.made().requires_grad_(self.requires_grad)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Forwards:
    """Bytes beyond those that were there before a block's forward pass."""

    keeping_nothing: int
    """At the most, where what would be kept is let go: a checkpointed block's first run."""
    until_kept: int
    """At the most until all is kept: a checkpointed block's second run ends there."""
    highest: int
    """At the most."""
    kept: int
    """For the backward pass, without the inputs."""
    keeps_input: list[bool]
    answer: _Outline


@dataclass(frozen=True, kw_only=True, slots=True)
class _Backwards:
    """Bytes beyond those that were there before a block's backward pass, the gradient of its answer among them."""

    until_looked: int
    """When it first looks for what was kept: a checkpointed block runs again then."""
    highest: int
    """At the most."""
    gradients: list[_Outline | None]
    """Of inputs and weights."""


def count_alike_once(module: nn.Module, count: MemoryCount) -> None:
    """Let `count` take blocks of a module without storage from those that it has seen; for good.

    Not those with other adapters than LoRA: autocast brings their weights into half precision, and keeps them for
    whoever comes next.
    """
    seen: dict[Hashable, Any] = {}
    for block in module.modules():
        if isinstance(block, BasicTransformerBlock) and _has_only_loras(block):
            block.forward = partial(_counted, block, block.forward, count, seen)


def _has_only_loras(block: nn.Module) -> bool:
    return all(type(part) is LoraLayer for part in block.modules() if isinstance(part, AdapterLayer))


def _counted(
    block: nn.Module,
    forward: Callable[..., Tensor],
    count: MemoryCount,
    seen: dict[Hashable, Any],
    *arguments: Any,
    **named: Any,
) -> Tensor:
    """A block's forward pass."""
    leaves, order = tree_flatten((arguments, named))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    inputs = [leaves[place] for place in places]
    others = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]

    def run(tensors: Sequence[Tensor]) -> Tensor:  # holds none of the inputs itself
        given = [*others]
        for place, tensor in zip(places, tensors, strict=True):
            given[place] = tensor
        arguments, named = tree_unflatten(given, order)
        return forward(*arguments, **named)

    parts = tuple((name, type(part)) for name, part in block.named_modules())
    outlines = _outlines(inputs)
    kind = parts, _outlines(block.state_dict(keep_vars=True).values()), outlines
    alike = _Alike(count, seen, kind, run, outlines, partial(_weights, block))
    forwards, keeps = alike.forwards(), _keeps_what_is_saved(count)
    return _End.apply(_Begin.apply(alike, forwards, keeps, *inputs, *_weights(block)), forwards, keeps)


def _weights(block: nn.Module) -> list[Tensor]:
    """What a block multiplies by and gets gradients: halves, where a LoRA has them at hand, else its own."""
    layers = [part for part in block.modules() if isinstance(part, LoraLayer) and part.halves]
    halved = {id(weight) for layer in layers for weight in layer.parameters()}
    own = [weight for weight in block.parameters() if weight.requires_grad and id(weight) not in halved]
    return own + [half for layer in layers for half in layer.halves]


def _outlines(tensors: Iterable[Tensor]) -> tuple[_Outline, ...]:
    return tuple(map(_Outline.of, tensors))


def _keeps_what_is_saved(count: MemoryCount) -> bool:
    """Whether what is saved for the backward pass stays. In a checkpointed block's first run it does not."""
    weight = torch.empty(1, requires_grad=True)
    before = count.live
    product = weight * torch.empty(1)  # which is saved for the weight's gradient
    return count.live - before > product.nbytes


# ------------------------------------------------------------------------------------------------------ measuring


@dataclass(frozen=True, slots=True)
class _Alike:
    """What blocks of a kind take; the first of them is measured, alone."""

    count: MemoryCount
    seen: dict[Hashable, Any]
    kind: Hashable
    run: Callable[[Sequence[Tensor]], Tensor]
    inputs: Sequence[_Outline]
    weights: Callable[[], list[Tensor]]
    """Asked for, not held: a pass may be remembered for longer than its halves are."""

    def forwards(self) -> _Forwards:
        return self._known(self.kind, self._forwards)

    def backwards(self, gradient: Tensor) -> _Backwards:
        """`gradient`: of the answer; in another order of memory it may have to be copied."""
        outline = _Outline.of(gradient)
        return self._known((self.kind, outline), lambda: self._backwards(outline))

    def _known(self, kind: Hashable, measure: Callable[[], Any]) -> Any:
        if kind not in self.seen:
            highest = self.count.peak
            with torch.enable_grad():
                self.seen[kind] = measure()
            self.count.peak = highest
        return self.seen[kind]

    def _forwards(self) -> _Forwards:
        count, inputs = self.count, [outline.as_input() for outline in self.inputs]
        before = count.peak = count.live
        with saved_tensors_hooks(lambda _: None, lambda _: None):
            self.run(inputs)
        keeping_nothing, until_kept, kept = count.peak - before, 0, set()

        def keep(tensor: Tensor) -> Tensor:
            nonlocal until_kept
            until_kept = count.peak - before
            kept.add(_place(tensor))
            return tensor.detach()  # an answer that its own function keeps would hold itself

        count.peak = before
        with saved_tensors_hooks(keep, lambda tensor: tensor):  # instead of those of whoever checkpoints the block
            answer = self.run(inputs)
        return _Forwards(
            keeping_nothing=keeping_nothing,
            until_kept=until_kept,
            highest=count.peak - before,
            kept=count.live - before - answer.untyped_storage().nbytes(),
            keeps_input=[_place(tensor) in kept for tensor in inputs],
            answer=_Outline.of(answer),
        )

    def _backwards(self, gradient: _Outline) -> _Backwards:
        count, inputs, looks = self.count, [outline.as_input() for outline in self.inputs], []

        def look(tensor: Tensor) -> Tensor:
            looks.append(count.live)
            return tensor

        with saved_tensors_hooks(Tensor.detach, look):
            end = _WithGradient.apply(self.run(inputs), gradient)
        size = gradient.made().untyped_storage().nbytes()
        before = count.peak = count.live
        tensors = [*inputs, *self.weights()]
        wanted = [tensor for tensor in tensors if tensor.requires_grad]
        found = torch.autograd.grad(end, wanted, allow_unused=True)
        outlines = (None if gradient is None else _Outline.of(gradient) for gradient in found)
        reached = {id(tensor): outline for tensor, outline in zip(wanted, outlines, strict=True)}
        return _Backwards(
            until_looked=looks[0] - before - size if looks else 0,
            highest=count.peak - before - size,
            gradients=[reached.get(id(tensor)) for tensor in tensors],
        )


class _WithGradient(torch.autograd.Function):
    """A number, whose backward pass makes the gradient that a block is given, and holds it no longer."""

    @staticmethod
    def forward(ctx: FunctionCtx, answer: Tensor, gradient: _Outline) -> Tensor:
        ctx.gradient = gradient
        return answer.new_empty(())

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, _: Tensor) -> tuple[Tensor, None]:
        return ctx.gradient.made(), None


# --------------------------------------------------------------------------------------------------------- taking


class _Begin(torch.autograd.Function):
    """A block that takes what another took, up to where it has kept all. Its answer has no memory yet."""

    @staticmethod
    def forward(ctx: FunctionCtx, alike: _Alike, forwards: _Forwards, keeps: bool, *tensors: Tensor) -> Tensor:
        ctx.alike, ctx.kept = alike, forwards.kept
        _bytes(forwards.until_kept if keeps else forwards.keeping_nothing)
        inputs = [one for one, is_kept in zip(tensors, forwards.keeps_input, strict=False) if is_kept]
        ctx.save_for_backward(_bytes(forwards.kept), *inputs)
        return tensors[0].new_empty(()).expand(forwards.answer.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        alike = ctx.alike
        backwards = alike.backwards(gradient)
        beside = _bytes(backwards.until_looked)
        _ = ctx.saved_tensors  # where a checkpointed block runs again
        del beside
        _bytes(backwards.highest)
        with alike.count.without(ctx.kept):  # by now it would be gone, bit by bit
            gradients = [outline and outline.made() for outline in backwards.gradients]
        return None, None, None, *gradients


class _End(torch.autograd.Function):
    """What such a block takes behind that. The gradient of its answer stays until the block has its own."""

    @staticmethod
    def forward(ctx: FunctionCtx, _: Tensor, forwards: _Forwards, keeps: bool) -> Tensor:
        if keeps:
            _bytes(forwards.highest - forwards.kept)
        return forwards.answer.made()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


def _place(tensor: Tensor) -> int:
    """Of its storage, which views share."""
    return tensor.untyped_storage()._cdata


def _bytes(count: int) -> Tensor:
    return torch.empty(count, dtype=torch.uint8)
