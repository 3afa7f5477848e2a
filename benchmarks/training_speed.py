"""Seconds a training step takes: ours against other trainers, on an SD1.5 or SDXL of full size.

    make bench        or        python -m benchmarks.training_speed [--device cuda] [--family sdxl] [--precision bf16]
                                [--side 1024] [--batch 4] [--rank 32] [--checkpoint] [--compile]
                                [--without-graphs] [--base FILE] [--without comfyui] [--rounds 3] [--steps 6]
                                [--out FILE]

Always against a plain diffusers and peft loop. Against kohya's sd-scripts where SD_SCRIPTS_DIR and SD_SCRIPTS_PYTHON
name a checkout and its Python, and against ComfyUI's own trainer where COMFYUI_DIR and COMFYUI_PYTHON do (24 GB of
memory). CLIP's vocabulary, which sd-scripts needs, is taken from ComfyUI.

The base model has random weights (2 GB, SDXL 7 GB, kept in the cache folder), since no value changes what a step costs.
UNet only. The contenders take turns, each time in a new process, so that a load on the machine that comes or goes
favours none, and each has a peak of memory of its own; the first step of a process is not counted. On a busy machine
look at the CPU seconds, which waiting for a core does not change.

The limit is the arithmetic of the UNet forward and of the gradients of its inputs, with convolutions as PyTorch
computes them, at the speed of the fastest matrix multiplication that was measured in the same minutes. gpu_rows.py
measures all that docs/speed.md wants of a GPU in one go.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from trainer_core.devices import device_name
from trainer_core.families.architecture import outline_of
from trainer_core.families.loading import family_of

from .contender_process import contenders, running
from .limit import fastest_multiplication, flops_of_step
from .other_trainers import OTHERS
from .random_inputs import CACHE, write_base, write_pictures
from .speed_table import summarise, text_table
from .step_clock import Measured
from .task import USUAL, OwnMode, Setting, Task

_SIDES_ON_GPU = {"sd15": 512, "sdxl": 1024}
_SIDE_ON_CPU = 256
_PRECISIONS = {"cpu": "fp32", "cuda": "bf16"}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    base = options.base or write_base(CACHE, options.family, options.device)
    setting = setting_of(options, base)
    own = replace(USUAL, compile=options.compile, cuda_graphs=not options.without_graphs)
    turns: dict[str, list[Measured]] = {name: [] for name in contenders() if name not in options.without}
    ceilings = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = write_pictures(Path(folder), setting.side, setting.batch)
        for _ in range(options.rounds):
            ceilings.append(fastest_multiplication(setting.device, setting.precision))
            for name, found in turns.items():
                task = task_of(name, setting, own, base, pictures, steps=options.steps, turns=1, holds=False)
                with running(task) as contender:
                    found.append(contender.turn(within=None))
    flops = flops_of_step(outline_of(base), setting.side, setting.batch)
    rows = [summarise(name, found, setting.batch, flops, max(ceilings)) for name, found in turns.items()]
    print(machine(setting.device))
    print(f"{setting.words()}; {limit_line(flops, max(ceilings))}")
    print(text_table(rows))
    print("\n".join(f"ours: {remark}" for remark in rows[0].remarks))
    if options.out:
        figures = {
            "setting": asdict(setting),
            "own": asdict(own),
            "flops": flops,
            "flops_per_second": ceilings,
            "turns": {name: list(map(asdict, found)) for name, found in turns.items()},
            "rows": list(map(asdict, rows)),
        }
        options.out.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


def task_of(
    contender: str, setting: Setting, own: OwnMode, base: Path, pictures: Path, *, steps: int, turns: int, holds: bool
) -> Task:
    """What a contender does, with the tokenizer beside the base model."""
    return Task(
        contender=contender,
        setting=setting,
        own=own,
        base=str(base.resolve()),
        pictures=str(pictures.resolve()),
        tokenizer=str(base.resolve().with_name("tokenizer")),
        steps=steps,
        turns=turns,
        holds=holds,
        began=0.0,
    )


def machine(device: str) -> str:
    """What was measured on."""
    where = f"{platform.processor()} {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    gpu = "" if device == "cpu" else f"{device_name(device)}, CUDA {torch.version.cuda}; "
    return f"{gpu}{where}, torch {torch.__version__}"


def limit_line(flops: int, flops_per_second: float) -> str:
    speed, seconds = f"{flops_per_second / 1e9:.0f} GFLOP/s", flops / flops_per_second
    return f"limit: {flops / 1e12:.3f} TFLOP at {speed} = {seconds:.3f} s a step"


def setting_of(options: argparse.Namespace, base: Path) -> Setting:
    family, device = family_of(base).family, options.device
    return Setting(
        family=family,
        side=options.side or (_SIDE_ON_CPU if device == "cpu" else _SIDES_ON_GPU[family]),
        batch=options.batch,
        rank=options.rank,
        precision=options.precision or _PRECISIONS[device],
        checkpointing=options.checkpoint,
        device=device,
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if has_gpu else "cpu")
    parser.add_argument("--family", choices=("sd15", "sdxl"), default="sd15")
    parser.add_argument("--base", type=Path, help="a checkpoint instead of random weights, of whichever family")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="fp32 on a CPU, bf16 on a GPU")
    parser.add_argument("--side", type=int, help="pixels of a picture's side: 256 on a CPU; on a GPU 512, SDXL 1024")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--checkpoint", action="store_true", help="gradient checkpointing, for all contenders")
    parser.add_argument("--compile", action="store_true", help="ours compiles, on a GPU and where it pays")
    parser.add_argument("--without-graphs", action="store_true", help="ours takes no CUDA graphs")
    parser.add_argument("--without", choices=list(OTHERS), nargs="+", default=[], help="trainers to leave out")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender is run")
    parser.add_argument("--steps", type=int, default=6, help="in each run; the first is not counted")
    parser.add_argument("--out", type=Path, help="a file for the figures as JSON")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not has_gpu:
        parser.error("no CUDA GPU is here. Leave --device out.")
    return options


if __name__ == "__main__":
    sys.exit(main())
