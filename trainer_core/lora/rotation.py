"""OFT: blocks of a layer's outputs turn together (Qiu et al., arXiv:2306.07280)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layer import AdapterLayer, Shapes, weight_shape

_NO_LIMIT = 10000.0
"""Loaders take an OFT file's alpha for the largest norm of Q. This one is never reached."""


class OftLayer(AdapterLayer):
    """W' = R^T W for each block of output channels, R = (I + Q)(I - Q)^-1 with Q = blocks - blocks^T (Cayley).

    This is the form that ComfyUI, A1111 and kohya's scripts read as oft_blocks. An orthogonal R has no scale, so
    alpha is not used; the rank is the size of the blocks, or the largest divisor of the outputs below it.
    """

    kind = "oft"

    @staticmethod
    def shapes(base: nn.Linear | nn.Conv2d, rank: int, factor: int) -> Shapes:
        outputs, *_ = weight_shape(base)
        size = max(divisor for divisor in range(1, min(rank, outputs) + 1) if outputs % divisor == 0)
        return {"oft_blocks": (outputs // size, size, size)}

    @staticmethod
    def rank_of(shapes: Shapes) -> int:
        return shapes["oft_blocks"][-1]

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """All zero: R is exactly I, and still has a gradient."""
        self.oft_blocks.zero_()

    @torch.no_grad()
    def limit_turn(self, longest: float) -> None:
        """Shorten Q to the norm `longest`, as ComfyUI does by the alpha of a file."""
        norm = (self.oft_blocks - self.oft_blocks.transpose(1, 2)).norm()
        if norm > longest:
            self.oft_blocks.mul_(longest / norm)

    def stored_alpha(self) -> float:
        return _NO_LIMIT

    def changed(self, x: Tensor, plain: Tensor) -> Tensor:
        unbiased = plain
        if self.base.bias is not None:
            beyond = (1, 1) if isinstance(self.base, nn.Conv2d) else ()
            unbiased = plain - self.base.bias.reshape(-1, *beyond)
        turned = self._turn(unbiased.to(self.oft_blocks.dtype).movedim(self.channels_at, 0))
        return plain + turned.movedim(0, self.channels_at) * self.strength

    def change_weight(self, weight: Tensor) -> Tensor:
        return self._turn(weight)

    def _turn(self, outputs_first: Tensor) -> Tensor:
        """(R^T - I) on the first dimension, block by block."""
        with torch.autocast(outputs_first.device.type, enabled=False):
            skew = self.oft_blocks - self.oft_blocks.transpose(1, 2)
            identity = torch.eye(skew.shape[-1], device=skew.device)
            turn = torch.linalg.solve(identity - skew, identity + skew, left=False) - identity
            blocks = outputs_first.reshape(*skew.shape[:2], -1)
            return (turn.transpose(1, 2) @ blocks).reshape(outputs_first.shape)
