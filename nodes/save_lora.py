"""Save LoRA: one kept epoch of a run goes where LoraLoader finds it."""

from pathlib import Path

from comfy_api.latest import io

from ..trainer_core.errors import TrainingError
from ..trainer_core.lora.file import publish
from ..trainer_core.training.best import best_epoch
from ..trainer_core.training.reports import TrainedLora
from . import host
from .types import LoraSocket

LAST, BEST = 0, -1
"""What `epoch` stands for beside the numbers of epochs."""


class SaveLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierSaveLora",
            display_name="Save LoRA",
            category="LoRA Atelier",
            description="Copies the LoRA to output/loras, where Load LoRA lists it. Nothing is ever overwritten.",
            search_aliases=["export lora", "save", "safetensors", "保存LoRA", "导出", "儲存LoRA", "匯出"],
            is_output_node=True,
            inputs=[
                LoraSocket.Input("lora", tooltip="The trained LoRA from Train LoRA."),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="Name of the file. Empty: the name given in Train LoRA. If the name is taken, a "
                    "number is added.",
                ),
                io.Int.Input(
                    "epoch",
                    default=LAST,
                    min=BEST,
                    max=10_000,
                    tooltip="Which kept epoch to save. 0: the last; -1: the best by the loss on held-out pictures. "
                    "Choose an earlier one if the last looks overcooked.",
                ),
            ],
            outputs=[
                # Of any type, so that it can be linked to the lora_name list of Load LoRA in the same graph.
                io.AnyType.Output(
                    "lora_name",
                    tooltip="The file's name as Load LoRA lists it; may be linked to its lora_name.",
                ),
            ],
        )

    @classmethod
    def execute(cls, lora: TrainedLora, name: str, epoch: int) -> io.NodeOutput:
        file = publish(_epoch_file(lora, epoch), host.lora_folder(), name.strip() or lora.name)
        _check_not_shadowed(file)
        return io.NodeOutput(file.name, ui={"text": [f"output/loras/{file.name}"]})


def _epoch_file(lora: TrainedLora, epoch: int) -> Path:
    kept = {saved.epoch: saved.path for saved in lora.epochs}
    if not lora.file.is_file():
        raise TrainingError(f"the run {lora.run_folder.name} was deleted. Restart ComfyUI to train it again.")
    if epoch == LAST:
        return lora.file
    if epoch == BEST:
        return best_epoch(lora).path
    if epoch not in kept:
        numbers = ", ".join(str(number) for number in kept)
        raise TrainingError(f"epoch {epoch} was not kept. Choose one of {numbers}, 0 for the last or -1 for the best.")
    return kept[epoch]


def _check_not_shadowed(file: Path) -> None:
    """A LoRA of the same name in models/loras would be loaded instead of this one, without a word."""
    found = host.loaded_by_lora_loader(file.name)
    if found is None or not found.samefile(file):
        raise TrainingError(
            f"another folder of LoRAs has a {file.name} already, and Load LoRA would take that one. "
            "Give this one another name."
        )
