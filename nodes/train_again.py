"""Train Like a LoRA: the plan that a LoRA was trained with, on another dataset or base model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comfy_api.latest import io

from ..trainer_core.dataset.types import Dataset
from ..trainer_core.job import Job
from ..trainer_core.training.again import plan_from_lora
from ..trainer_core.training.plan import AdapterPlan
from . import host
from .lost import count_lost
from .running import train, training_outputs
from .types import DatasetSocket


class TrainAgain(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierTrainAgain",
            display_name="Train Like a LoRA",
            category="LoRA Atelier",
            description="Trains with the settings that another LoRA holds: one of this trainer's exactly, one of "
            "kohya's as far as its metadata tells.",
            search_aliases=[
                "retrain",
                "same settings",
                "reproduce",
                "kohya metadata",
                "重新训练",
                "同样设置",
                "重新訓練",
                "同樣設定",
            ],
            is_output_node=True,
            inputs=[
                DatasetSocket.Input("dataset", tooltip="Pictures with captions, from Auto Tag."),
                io.Combo.Input(
                    "base_model",
                    options=host.list_base_models(),
                    tooltip="The SD1.5 or SDXL checkpoint to train on. Of the same family as the LoRA, for its rates "
                    "to fit.",
                ),
                io.Combo.Input(
                    "lora",
                    options=host.list_loras(),
                    tooltip="The LoRA whose settings are taken, as Load LoRA lists it. It needs its metadata; nothing "
                    "of what it learned is taken.",
                ),
                io.String.Input(
                    "name",
                    default="my_lora",
                    tooltip="Name of the new LoRA. Letters, digits, - and _ are safe everywhere.",
                ),
            ],
            outputs=training_outputs(),
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def fingerprint_inputs(cls, name: str | None = None, **inputs: object) -> int:
        """A run that was deleted is trained again, by whom it may be; ComfyUI looks at the inputs itself, and has no
        value of one that is linked."""
        return count_lost(name)

    @classmethod
    def execute(cls, dataset: Dataset, base_model: str, lora: str, name: str) -> io.NodeOutput:
        plan, remarks = plan_from_lora(host.find_lora(lora))
        plan = replace(plan, adapter=_with_paths(plan.adapter))
        job = Job(base_model=host.find_base_model(base_model), dataset=dataset, plan=plan, name=name)
        return train(cls, job, [f"as {lora}", *remarks], devices=1)


def _with_paths(adapter: AdapterPlan) -> AdapterPlan:
    """The LoRAs that the plan starts from or merges, which metadata holds by name, where ComfyUI has them."""
    return replace(
        adapter,
        start_from=_path_of(Path(adapter.start_from)) if adapter.start_from else "",
        merge_first="\n".join(f"{_path_of(file)}:{strength}" for file, strength in adapter.merges),
    )


def _path_of(file: Path) -> str:
    """In whatever folder; where it is in several, in that which Load LoRA lists first."""
    listed = (name for name in host.list_loras() if Path(name).name == file.name)
    return str(host.find_lora(next(listed, file.name)))
