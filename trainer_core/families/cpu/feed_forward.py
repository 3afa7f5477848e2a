"""A transformer's feed-forward layers on a CPU: no tensor so large that its pages cost more than its arithmetic."""

from __future__ import annotations

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from .matrices import part_count

# Shape suffixes: B batch, L tokens, C channels.


class FeedForwardInParts(FeedForward):
    """Takes as many tokens at a time as keep what is computed of them small."""

    def forward(self, x_BLC: Tensor) -> Tensor:
        widest = max((layer.out_features for layer in self.modules() if isinstance(layer, nn.Linear)), default=0)
        parts = part_count(x_BLC.shape[:-1].numel() * widest * x_BLC.element_size())
        if parts == 1:
            return super().forward(x_BLC)
        return torch.cat([super(FeedForwardInParts, self).forward(part) for part in x_BLC.tensor_split(parts, 1)], 1)
