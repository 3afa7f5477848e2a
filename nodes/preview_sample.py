"""Preview Sample: pictures with the LoRA, beside the same pictures without it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from comfy_api.latest import io, ui
from PIL import Image

from ..trainer_core.progress import StageReport, reported
from ..trainer_core.sampling import PictureRequest, Previewer
from ..trainer_core.sheets import picture_grid
from ..trainer_core.training.reports import TrainedLora
from . import host
from .drawing_inputs import drawing_inputs
from .kept_epochs import kept_epochs
from .previewing import previewer_of
from .types import LoraSocket

_REMEDY = "Choose a smaller width and height."
_SMALLEST_CELL = 256  # pixels of a picture on the sheet; the demo base's are enlarged to it


class PreviewSample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierPreviewSample",
            display_name="Preview Sample",
            category="LoRA Atelier",
            description="Makes pictures with the new LoRA on its own base model, beside the same pictures without it.",
            search_aliases=[
                "test lora",
                "compare",
                "before after",
                "sample",
                "预览",
                "对比",
                "测试LoRA",
                "預覽",
                "比較",
            ],
            is_output_node=True,
            inputs=[
                LoraSocket.Input("lora", tooltip="The trained LoRA from Train LoRA."),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    tooltip="What to draw. Put the trigger word in, as in your captions.",
                ),
                io.String.Input(
                    "negative",
                    default="",
                    multiline=True,
                    tooltip="What to keep out of the picture. May be empty.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-2.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How strongly the LoRA acts, -2 to 2. 1 is what was trained; 0.6 to 0.8 if the "
                    "picture is overcooked.",
                ),
                *drawing_inputs(),
                io.Int.Input(
                    "count",
                    default=1,
                    min=1,
                    max=16,
                    tooltip="How many pictures, 1 to 16, each with the next seed.",
                ),
                io.Boolean.Input(
                    "compare_base",
                    default=True,
                    tooltip="On: the same pictures are made without the LoRA too. Off: half the time.",
                ),
            ],
            outputs=[
                io.Image.Output("pictures", tooltip="The pictures made with the LoRA."),
                io.Image.Output("comparison", tooltip="One sheet: above without the LoRA, below with it."),
            ],
        )

    @classmethod
    def execute(
        cls, lora: TrainedLora, prompt: str, negative: str, strength: float, width: int, height: int,
        steps: int, cfg: float, sampler: str, seed: int, count: int, compare_base: bool,
    ) -> io.NodeOutput:  # fmt: skip
        requests = [
            PictureRequest(
                prompt=prompt, negative=negative, width=width, height=height,
                steps=steps, cfg=cfg, sampler=sampler, seed=seed + number,
            )
            for number in range(count)
        ]  # fmt: skip
        rows = {"without": None, "with LoRA": lora.file} if compare_base else {"with LoRA": lora.file}
        progress = host.Progress()
        with host.machine_to_ourselves(host.Work("drawing a preview"), _REMEDY):
            drawn = _draw(lora, list(rows.values()), requests, strength, progress)
        seeds = [f"seed {request.seed}" for request in requests]
        sheet = picture_grid(drawn, seeds, list(rows), cell=max(_SMALLEST_CELL, width, height))
        progress.finish(sheet)
        comparison = host.to_image([sheet])
        shown = ui.PreviewImage(comparison, cls=cls).as_dict() | kept_epochs(lora, lora.epochs[-1:])
        return io.NodeOutput(host.to_image(drawn[-1]), comparison, ui=shown)


def _draw(
    lora: TrainedLora,
    files: Sequence[Path | None],
    requests: Sequence[PictureRequest],
    strength: float,
    progress: host.Progress,
) -> list[list[Image.Image]]:
    """A row of pictures per file; None stands for the base model alone."""
    steps = requests[0].steps
    total = len(files) * len(requests) * steps
    drawn: list[Image.Image] = []
    for found in _pictures(previewer_of(lora), files, requests, strength):
        if isinstance(found, StageReport):
            progress.reached(len(drawn) * steps + found.done, total)
        else:
            drawn.append(found)
            progress.reached(len(drawn) * steps, total, lambda: drawn[-1])
    return [drawn[start : start + len(requests)] for start in range(0, len(drawn), len(requests))]


def _pictures(
    previewer: Previewer, files: Sequence[Path | None], requests: Sequence[PictureRequest], strength: float
) -> Iterator[StageReport | Image.Image]:
    """Each picture, and progress after every sampler step of it."""
    for file in files:
        for request in requests:
            drawing = previewer.draw_in_steps(request, file, strength)
            yield (yield from reported(drawing, "drawing a preview", request.steps))
