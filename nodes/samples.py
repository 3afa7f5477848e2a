"""Samples: what is drawn while a LoRA trains."""

from comfy_api.latest import io

from ..trainer_core.training.plan import SamplePlan
from .samples_inputs import samples_inputs
from .types import SamplesSocket


class Samples(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierSamples",
            display_name="Samples",
            category="LoRA Atelier",
            description="Pictures that Train LoRA draws on the way, always from the same seeds, so that only the LoRA "
            "changes them. They change nothing in what it learns.",
            search_aliases=[
                "sample prompts",
                "preview while training",
                "sample every n epochs",
                "训练预览",
                "采样",
                "訓練預覽",
                "取樣",
            ],
            inputs=samples_inputs(),
            outputs=[SamplesSocket.Output("samples", tooltip="For Train LoRA's socket of the same name.")],
        )

    @classmethod
    def execute(
        cls, prompts: str, negative: str, every_epochs: int, before_first: bool, width: int, height: int, steps: int,
        cfg: float, sampler: str, seed: int,
    ) -> io.NodeOutput:  # fmt: skip
        plan = SamplePlan(
            prompts=prompts,
            every_epochs=every_epochs,
            before_first=before_first,
            negative=negative,
            width=width,
            height=height,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler=sampler,
        )
        return io.NodeOutput(plan)
