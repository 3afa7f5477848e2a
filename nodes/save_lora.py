"""Save LoRA: one kept epoch of a run goes where LoraLoader finds it."""

from comfy_api.latest import io

from ..trainer_core.errors import TrainingError
from ..trainer_core.runs.saves import BEST, LAST
from ..trainer_core.training.reports import TrainedLora
from . import host
from .publishing import publish_kept
from .types import LoraSocket


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
            hidden=[io.Hidden.unique_id],
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
        if not lora.file.is_file():
            raise TrainingError(f"the run {lora.run_folder.name} was deleted. Queue the graph again to train it anew.")
        file = publish_kept(lora.run_folder, epoch, name.strip() or lora.name)
        told = [f"output/loras/{file.name}"]
        host.show_lines(cls, told)
        return io.NodeOutput(file.name, ui={"text": told})
