"""kohya's sd-scripts and ComfyUI's own trainer on the same task, each from its checkout and in its own Python.

Nothing of theirs is here: they are called as their users call them, and a hook that PyTorch has for every optimizer
tells the end of each step. They train the same layers with the same settings, AdamW, latents encoded before, but for
two things that they do not offer: sd-scripts encodes captions of SD1.5 at every step (13 of 373 GFLOP), and ComfyUI's
node gives every layer with a weight an adapter, convolutions too.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .step_clock import StepClock
from .task import Task

RATE, SEED = 1e-4, 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkout:
    """Where a trainer is, by the names of the environment variables that say it."""

    folder: str
    python: str
    mark: str
    """A file that is there if the folder is that trainer's."""

    def is_given(self) -> bool:
        return bool(os.environ.get(self.folder))

    def place(self) -> tuple[Path, str]:
        """The checkout and its Python.

        Raises:
            SystemExit: they are not there; says which variable to set.
        """
        folder, python = Path(os.environ[self.folder]).expanduser(), os.environ.get(self.python, "")
        if not (folder / self.mark).is_file():
            sys.exit(f"{self.folder} names no checkout: {folder} has no {self.mark}.")
        if not Path(python).expanduser().is_file():
            sys.exit(f"{self.python} must name the Python that {folder.name} runs with.")
        return folder, str(Path(python).expanduser())


SD_SCRIPTS = Checkout(folder="SD_SCRIPTS_DIR", python="SD_SCRIPTS_PYTHON", mark="train_network.py")
COMFYUI = Checkout(folder="COMFYUI_DIR", python="COMFYUI_PYTHON", mark="comfy_extras/nodes_train.py")


def sd_scripts(task: Task) -> None:
    """train_network.py, or its kin for SDXL, with the options that make it do the same work."""
    folder, _ = SD_SCRIPTS.place()
    setting = task.setting
    script = {"sd15": "train_network.py", "sdxl": "sdxl_train_network.py"}[setting.family]
    options = [
        *(["--gradient_checkpointing"] if setting.checkpointing else []),
        *(["--cache_text_encoder_outputs", "--no_half_vae"] if setting.family == "sdxl" else []),
    ]
    with tempfile.TemporaryDirectory() as work:
        # It wants pictures in a folder named by repeats, and tokenizers in folders named after their places on the hub.
        shutil.copytree(task.pictures, Path(work, "pictures", f"{task.all_steps}_ball"))
        for place in ("openai_clip-vit-large-patch14", "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k"):
            _copy_tokenizer(Path(task.tokenizer), Path(work, "tokenizers", place))
        sys.argv = [
            script, "--network_module", "networks.lora", "--network_train_unet_only",
            "--pretrained_model_name_or_path", task.base, "--tokenizer_cache_dir", f"{work}/tokenizers",
            "--train_data_dir", f"{work}/pictures", "--caption_extension", ".txt", "--cache_latents",
            "--resolution", str(setting.side), "--train_batch_size", str(setting.batch),
            "--max_train_steps", str(task.all_steps + 1),
            "--network_dim", str(setting.rank), "--network_alpha", str(setting.rank), "--learning_rate", str(RATE),
            "--optimizer_type", "AdamW", "--mixed_precision", setting.precision.replace("fp32", "no"), "--sdpa",
            "--seed", str(SEED), "--max_data_loader_n_workers", "0",
            "--output_dir", f"{work}/out", "--output_name", "speed", *options,
        ]  # fmt: skip
        sys.path.insert(0, str(folder))
        os.chdir(folder)
        runpy.run_path(str(folder / script), run_name="__main__")


def _copy_tokenizer(source: Path, target: Path) -> None:
    """With the length that CLIP has: in ComfyUI's file it is that of its own, longer prompts."""
    shutil.copytree(source, target)
    config = target / "tokenizer_config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(settings | {"model_max_length": 77}), encoding="utf-8")


def comfyui(task: Task) -> None:
    """The node Train LoRA of ComfyUI itself, which trains through merged weights."""
    _comfyui(task, bypass=False)


def comfyui_bypass(task: Task) -> None:
    """The same node with its adapters beside the weights."""
    _comfyui(task, bypass=True)


def _comfyui(task: Task, *, bypass: bool) -> None:
    folder, _ = COMFYUI.place()
    setting = task.setting
    sys.path.insert(0, str(folder))
    sys.argv = ["main.py", *(["--cpu"] if setting.device == "cpu" else [])]
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.sd
    import numpy as np
    import torch
    from comfy_extras.nodes_train import TrainLoraNode
    from PIL import Image

    latents, captions = [], []
    with torch.inference_mode():  # as ComfyUI runs nodes
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(task.base)
        for path in sorted(Path(task.pictures).glob("*.png")):
            pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"), dtype=np.float32))[None] / 255
            latents.append({"samples": vae.encode(pixels)})
            tokens = clip.tokenize(path.with_suffix(".txt").read_text(encoding="utf-8"))
            captions.append(clip.encode_from_tokens_scheduled(tokens))
        values = {
            "batch_size": setting.batch, "steps": task.all_steps + 1, "grad_accumulation_steps": 1,
            "learning_rate": RATE, "rank": setting.rank, "optimizer": "AdamW", "loss_function": "MSE", "seed": SEED,
            "training_dtype": "none" if setting.precision == "fp16" else setting.precision, "lora_dtype": "fp32",
            "quantized_backward": False, "algorithm": "LoRA", "gradient_checkpointing": setting.checkpointing,
            "checkpoint_depth": 1, "offloading": False, "existing_lora": "[None]", "bucket_mode": False,
            "bypass_mode": bypass,
        }  # fmt: skip
        settings = {name: [value] for name, value in values.items()}
        TrainLoraNode.execute(model=[model], latents=latents, positive=captions, **settings)


OTHERS: dict[str, tuple[Checkout, Callable[[Task], None]]] = {
    "sd-scripts": (SD_SCRIPTS, sd_scripts),
    "comfyui": (COMFYUI, comfyui),
    "comfyui bypass": (COMFYUI, comfyui_bypass),
}


def main() -> None:
    from torch.optim.optimizer import register_optimizer_step_post_hook

    task = Task.from_command_line()
    clock = StepClock(task)
    register_optimizer_step_post_hook(lambda *_: clock.stepped())
    OTHERS[task.contender][1](task)


if __name__ == "__main__":
    main()
