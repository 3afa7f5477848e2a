"""A LoRA of a run goes to where LoraLoader finds it."""

from pathlib import Path

from ..trainer_core.errors import TrainingError
from ..trainer_core.lora.file import publish
from ..trainer_core.runs.saves import choose_kept
from . import host


def publish_kept(run_folder: Path, epoch: float, name: str, *, step: int | None = None) -> Path:
    """Copy the kept LoRA of an epoch, of several that of `step`, to output/loras; `LAST` and `BEST` name one too.

    Raises:
        TrainingError: it was not kept, or LoraLoader would load another file of that name.
    """
    file = publish(choose_kept(run_folder, epoch, step=step).path, host.lora_folder(), name)
    found = host.loaded_by_lora_loader(file.name)
    if found is None or not found.samefile(file):
        raise TrainingError(
            f"another folder of LoRAs has a {file.name} already, and Load LoRA would take that one. "
            "Give this one another name."
        )
    return file
