"""A LoRA's base model, loaded once for all the pictures of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..trainer_core.training.reports import TrainedLora
from . import host

if TYPE_CHECKING:
    from ..trainer_core.sampling import Previewer


def previewer_of(lora: TrainedLora) -> Previewer:
    """Draws as the LoRA was trained: on its base model, in its number format, reading prompts as it read captions.

    Raises:
        TrainingError: the base model cannot be used.
    """
    from ..trainer_core.sampling import Previewer  # brings diffusers, for which ComfyUI's start is not to wait

    return Previewer(
        lora.base_model,
        clip_skip=lora.plan.text.clip_skip,
        device=host.device(),
        precision=lora.plan.precision.training,
        tokenizer_folders=host.tokenizer_folders(),
    )
