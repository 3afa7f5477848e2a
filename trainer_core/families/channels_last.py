"""What a UNet's layers do otherwise where pictures lie in channels last."""

from __future__ import annotations

from diffusers import Transformer2DModel
from torch import Tensor

# Shape suffixes: B batch, C channels, H and W height and width.


class ChannelsLastTransformer(Transformer2DModel):
    """Tokens become a picture as they lie. diffusers turns them, and the next convolution turns them back."""

    def _get_output_for_continuous_inputs(
        self, hidden_states: Tensor, residual: Tensor, batch_size: int, height: int, width: int, inner_dim: int
    ) -> Tensor:
        if self.use_linear_projection:
            hidden_states = self.proj_out(hidden_states)
        answer_BCHW = hidden_states.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return residual + (answer_BCHW if self.use_linear_projection else self.proj_out(answer_BCHW))
