"""What a UNet's layers do otherwise where pictures lie in channels last."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import Transformer2DModel
from torch import Tensor

# Shape suffixes: B batch, C and O channels in and out, H and W height and width.


class ChannelsLastTransformer(Transformer2DModel):
    """Tokens become a picture as they lie. diffusers turns them, and the next convolution turns them back."""

    def _get_output_for_continuous_inputs(
        self, hidden_states: Tensor, residual: Tensor, batch_size: int, height: int, width: int, inner_dim: int
    ) -> Tensor:
        if self.use_linear_projection:
            hidden_states = self.proj_out(hidden_states)
        answer_BCHW = hidden_states.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return residual + (answer_BCHW if self.use_linear_projection else self.proj_out(answer_BCHW))


def gradient_of_input(
    grad_BOHW: Tensor, weight: Tensor, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """Of a convolution with a frozen weight, which needs no input for it, only its shape (B C H W)."""
    place = {"dtype": grad_BOHW.dtype, "device": grad_BOHW.device}
    never_read = torch.empty(shape, memory_format=torch.channels_last, **place)
    gradients = torch.ops.aten.convolution_backward(
        grad_BOHW, never_read, weight, None, stride, padding, [1, 1], False, [0, 0], 1, [True, False, False]
    )
    return gradients[0]
