"""Parameters behind each other in memory, and places for their gradients likewise: what is done with all of them is one
call, and a few kernels that keep a GPU busy, where a list of them takes one for every few dozen. A LoRA of SDXL has
1,444.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

_EACH = 64
"""Values. Every parameter begins at a multiple of it: a GPU reads 16 bytes at a time."""


def parts_of(whole: Tensor, lengths: Sequence[int], shapes: Sequence[torch.Size]) -> list[Tensor]:
    """Views of `whole`, each of its shape, at the beginnings of pieces of such lengths."""
    pieces = whole.split(list(lengths))
    return [piece[: shape.numel()].view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


class Strip:
    """Moves the parameters, all of one format and on one device, into one matrix."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        self._own = set(map(id, self.parameters))
        self._lengths = [-(-parameter.numel() // _EACH) * _EACH for parameter in self.parameters]
        sample = self.parameters[0].detach() if self.parameters else torch.zeros(0)
        self.whole = sample.new_zeros(sum(self._lengths))
        """All of them, with their gradients, zeros between them."""
        for parameter, place in zip(self.parameters, self.parts(self.whole), strict=True):
            place.copy_(parameter.detach())
            parameter.data = place
        self.whole.grad = torch.zeros_like(self.whole)
        self.gradients = self.parts(self.whole.grad)

    def parts(self, whole: Tensor) -> list[Tensor]:
        """Views of something of the same length, one for each parameter, of its shape."""
        return parts_of(whole, self._lengths, [parameter.shape for parameter in self.parameters])

    def place_gradients(self) -> None:
        """Have every gradient in its place, with what the parameter has so far."""
        pairs = list(zip(self.parameters, self.gradients, strict=True))
        fresh = [gradient for parameter, gradient in pairs if parameter.grad is None]
        if not any(parameter.grad is gradient for parameter, gradient in pairs):
            self.whole.grad.zero_()  # also between them, where clipping by a norm that is no number leaves others
        elif fresh:
            torch._foreach_zero_(fresh)
        for parameter, gradient in pairs:
            if parameter.grad is not None and parameter.grad is not gradient:
                gradient.copy_(parameter.grad)
            parameter.grad = gradient

    def is_filled(self) -> bool:
        """Whether the gradients of all parameters are in their places."""
        pairs = zip(self.parameters, self.gradients, strict=False)
        return bool(self.gradients) and all(parameter.grad is gradient for parameter, gradient in pairs)

    def with_others(self, parameters: Iterable[nn.Parameter]) -> list[Tensor]:
        """The strip as one, and those parameters that are not of it."""
        return [self.whole, *(parameter for parameter in parameters if id(parameter) not in self._own)]

    def span_of(self, parameters: Sequence[nn.Parameter]) -> slice | None:
        """Where these lie in it, if they are behind each other there; None if not."""
        places = {id(parameter): place for place, parameter in enumerate(self.parameters)}
        found = [places.get(id(parameter)) for parameter in parameters]
        if None in found or found != list(range(found[0], found[0] + len(found))):
            return None
        start = sum(self._lengths[: found[0]])
        return slice(start, start + sum(self._lengths[found[0] : found[-1] + 1]))

    def let_go(self) -> None:
        """Nobody fills the places of gradients any more."""
        self.whole.grad, self.gradients = None, []
