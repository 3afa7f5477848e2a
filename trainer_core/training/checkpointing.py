"""Gradient checkpointing: activations that are computed again in the backward pass instead of being kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..families.base_model import BaseModel

Contexts = Callable[[], tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]]
"""Makes what a block's forward pass and its repetition run in."""


def _no_contexts() -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint_blocks(model: BaseModel, every: int, contexts: Contexts = _no_contexts) -> None:
    """Recompute every `every`-th residual and transformer block of the UNet, and all layers of the text encoders.

    The gradients are the same, bit for bit on a CPU. Nothing is drawn in a block, so no generator is kept.
    """
    run = partial(checkpoint, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    blocks: dict[nn.Module, int] = {}

    def run_block(block: nn.Module, *inputs: Tensor) -> Tensor:
        place = blocks.setdefault(block, len(blocks))
        return run(block, *inputs) if place % every == 0 else block(*inputs)

    model.unet.enable_gradient_checkpointing(run_block)
    for encoder in model.text_encoders:
        encoder.gradient_checkpointing_enable(
            {"use_reentrant": False, "preserve_rng_state": False, "context_fn": contexts}
        )
        encoder.train()  # transformers checkpoints only in training mode; CLIP has no dropout to wake
