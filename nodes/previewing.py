"""A LoRA's base model, loaded once for all the pictures of a node."""

from ..trainer_core.sampling import Previewer
from ..trainer_core.training.reports import TrainedLora
from . import host


def previewer_of(lora: TrainedLora) -> Previewer:
    """Draws as the LoRA was trained: on its base model, in its number format, reading prompts as it read captions.

    Raises:
        TrainingError: the base model cannot be used.
    """
    return Previewer(
        lora.base_model,
        clip_skip=lora.plan.text.clip_skip,
        device=host.device(),
        precision=lora.plan.precision.training,
        tokenizer_folders=host.tokenizer_folders(),
    )
