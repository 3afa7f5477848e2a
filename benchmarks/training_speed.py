"""Seconds a training step takes: ours against other trainers, on an SD1.5 of full size.

    make bench        or        python -m benchmarks.training_speed [--side 256] [--rounds 3] [--steps 6] [--out FILE]

Always against a plain diffusers and peft loop. Against kohya's sd-scripts where SD_SCRIPTS_DIR and SD_SCRIPTS_PYTHON
name a checkout and its Python, and against ComfyUI's own trainer where COMFYUI_DIR and COMFYUI_PYTHON do (24 GB of
memory). CLIP's vocabulary, which sd-scripts needs, is taken from ComfyUI.

The base model has random weights (2 GB, kept in the cache folder), since no value changes what a step costs. UNet
only, rank 32, batch 1, fp32. The contenders take turns, each time in a new process, so that a load on the machine that
comes or goes favours none, and each has a peak of memory of its own; the first step of a process is not counted. On a
busy machine look at the CPU seconds, which waiting for a core does not change.

The limit is the arithmetic that no trainer can leave out, the UNet forward and the gradients of its inputs, at the
speed of the fastest matrix multiplication that was measured in the same minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from tests.full_size_models import full_size
from trainer_core.demo.tokenizer import vocabulary_size, write_tokenizer
from trainer_core.families import onednn
from trainer_core.families.tokenizers import CLIP_VOCABULARY
from trainer_core.families.writing import original_tensors

from .other_trainers import COMFYUI, OTHERS, SD_SCRIPTS
from .step_clock import Task
from .training_contenders import CONTENDERS, write_pictures

_SIDES_OF_MATRICES = (320, 640, 1280, 2048)
_CACHE = Path.home() / ".cache" / "lora-atelier-benchmarks"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A contender's line of the table; every figure is a median but the peaks."""

    contender: str
    steps: int
    seconds: float
    spread: float
    """Half of the distance between the quartiles, as a share of the median."""
    cpu_seconds: float
    pictures_per_second: float
    to_first_step: float
    peak_gb: float
    peak_gb_of_steps: float | None
    """Without loading."""
    share_of_limit: float


def write_base(folder: Path) -> Path:
    """A random SD1.5 with its tokenizer beside it, once: CLIP's where a ComfyUI is given, else the demo's small one."""
    clip = COMFYUI.place()[0] / "comfy" / "sd1_tokenizer" if COMFYUI.is_given() else None
    path = folder / ("clip" if clip else "demo") / "random-sd15.safetensors"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = full_size("sd15", vocabulary=CLIP_VOCABULARY if clip else vocabulary_size())
    for part in (model.unet, model.vae, *model.text_encoders):
        part.to_empty(device="cpu")
        for module in part.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    if clip:
        shutil.copytree(clip, path.with_name("tokenizer"), dirs_exist_ok=True)
    else:
        write_tokenizer(path.with_name("tokenizer"))
    save_file(original_tensors(model, torch.float16), path.with_name("part"))
    return path.with_name("part").rename(path)


def contenders() -> list[str]:
    """Those that can be run here.

    Raises:
        SystemExit: a variable names something else than it should.
    """
    found = [name for name, (checkout, _) in OTHERS.items() if checkout.is_given() and checkout.place()]
    if SD_SCRIPTS.is_given() and not COMFYUI.is_given():
        sys.exit("sd-scripts needs CLIP's vocabulary. Set COMFYUI_DIR and COMFYUI_PYTHON too.")
    return [*CONTENDERS, *found]


def flops_of_step(side: int) -> int:
    """Of the UNet forward and of its inputs' gradients, which are as many."""
    unet, latent = full_size("sd15").unet, side // 8
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        unet(torch.zeros(1, 4, latent, latent), torch.zeros(1), torch.zeros(1, 77, 768))
    return 2 * counter.get_total_flops()


@torch.no_grad()
def fastest_multiplication() -> float:
    """FLOP/s of the best square fp32 multiplication, by PyTorch's own choice of library or by oneDNN."""
    best = 0.0
    for side in _SIDES_OF_MATRICES:
        a, b = torch.randn(side, side), torch.randn(side, side)
        for multiply in (torch.mm, onednn.linear):
            for _ in range(10):
                began = time.perf_counter()
                multiply(a, b)
                best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def run(contender: str, base: Path, pictures: Path, side: int, steps: int) -> dict:
    """A contender's Measured as JSON."""
    task = Task(
        contender=contender,
        base=str(base),
        pictures=str(pictures),
        tokenizer=str(base.with_name("tokenizer")),
        side=side,
        steps=steps,
        began=time.time(),
    )
    module, python = "training_contenders", sys.executable
    if contender in OTHERS:
        module, python = "other_trainers", OTHERS[contender][0].place()[1]
    command = [python, "-m", f"benchmarks.{module}", json.dumps(asdict(task))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def summarise(contender: str, runs: list[dict], flops: int, flops_per_second: float) -> Row:
    """The line of a contender, without the first step of each run."""
    seconds = [value for run in runs for value in run["seconds"][1:]]
    peaks = [run["peak_bytes_of_steps"] for run in runs if run["peak_bytes_of_steps"] is not None]
    quarter, median, three_quarters = statistics.quantiles(seconds, n=4)
    return Row(
        contender=contender,
        steps=len(seconds),
        seconds=median,
        spread=(three_quarters - quarter) / 2 / median,
        cpu_seconds=statistics.median(value for run in runs for value in run["cpu_seconds"][1:]),
        pictures_per_second=1 / median,
        to_first_step=statistics.median(run["to_first_step"] for run in runs),
        peak_gb=max(run["peak_bytes"] for run in runs) / 2**30,
        peak_gb_of_steps=max(peaks) / 2**30 if peaks else None,
        share_of_limit=flops / flops_per_second / median,
    )


def table(rows: list[Row]) -> str:
    lines = [
        "trainer          steps   s/step   +-   CPU s   pictures/s   first step s   peak GB   of steps   share of limit"
    ]
    for row in rows:
        of_steps = "-" if row.peak_gb_of_steps is None else f"{row.peak_gb_of_steps:.2f}"
        lines.append(
            f"{row.contender:15}{row.steps:8}{row.seconds:9.2f}{row.spread:6.0%}{row.cpu_seconds:7.2f}"
            f"{row.pictures_per_second:13.2f}{row.to_first_step:15.1f}{row.peak_gb:10.2f}{of_steps:>11}{row.share_of_limit:17.0%}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256, help="pixels of a picture's side")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender is run")
    parser.add_argument("--steps", type=int, default=6, help="in each run; the first is not counted")
    parser.add_argument("--out", type=Path, help="a file for the figures as JSON")
    options = parser.parse_args()
    base, flops, runs = write_base(_CACHE), flops_of_step(options.side), {name: [] for name in contenders()}
    ceilings = []
    with tempfile.TemporaryDirectory() as pictures:
        write_pictures(Path(pictures), options.side)
        for _ in range(options.rounds):
            ceilings.append(fastest_multiplication())
            for name, found in runs.items():
                found.append(run(name, base, Path(pictures), options.side, options.steps))
    rows = [summarise(name, found, flops, max(ceilings)) for name, found in runs.items()]
    print(
        f"{platform.processor()} {os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print(
        f"limit: {flops / 1e12:.3f} TFLOP at {max(ceilings) / 1e9:.0f} GFLOP/s = {flops / max(ceilings):.2f} s a step"
    )
    print(table(rows))
    if options.out:
        figures = {"side": options.side, "flops": flops, "flops_per_second": ceilings, "runs": runs}
        options.out.write_text(json.dumps(figures | {"rows": list(map(asdict, rows))}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
