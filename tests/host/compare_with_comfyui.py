"""Loads tiny base models and LoRAs made here with ComfyUI's own code, and prints how far its outputs are from ours.

    COMFYUI_DIR=~/ComfyUI python compare_with_comfyui.py FOLDER

Runs in ComfyUI's Python; FOLDER takes the files. Prints one JSON object with an entry for each family, in it one for
each kind of adapter.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(os.environ.get("COMFYUI_DIR", "~/ComfyUI")).expanduser()))

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
sys.argv, FOLDER = [sys.argv[0], "--cpu", "--force-fp32", "--fp32-text-enc"], Path(sys.argv[1])

import torch  # noqa: E402

torch.set_num_threads(1)

import comfy.model_management  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.utils  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))  # after ComfyUI is in: both have a package "tests" and "nodes"

from tests.host.tiny_in_comfyui import TEXT_CONFIG, teach_tiny_models  # noqa: E402
from tests.random_loras import randomise  # noqa: E402
from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint  # noqa: E402
from trainer_core.families.base_model import BaseModel, Conditioning, PictureSize  # noqa: E402
from trainer_core.families.loading import load_base_model  # noqa: E402
from trainer_core.lora.adapters import Adapters  # noqa: E402
from trainer_core.lora.file import lora_bytes  # noqa: E402
from trainer_core.lora.names import targets_of  # noqa: E402
from trainer_core.training.plan.adapter import AdapterPlan  # noqa: E402

PROMPTS = [
    "", "!", "wow! so red!!", "a photo of a cat", "it's mochi's, isn't it? we'll see", "mochi_01 long_hair __x__",
    "1girl, 2boys, 1024x768, v1.5, 007", "naïve café Ünïcödé ﬁ ½", "猫と犬、青い空", "🐱🚀👩‍👩‍👧 ok",
    "  Spaces\t tabs\nand   lines ", "<|endoftext|> x", "cat, " * 60, "antidisestablishmentarianism" * 6,
    "UPPER lower CamelCase e=mc² #tag @you $5 100% a/b c+d",
]  # fmt: skip
RANK, ALPHA = 8, 4.0
WITH_CONVOLUTIONS = {"targets": "with convolutions", "conv_rank": 4, "conv_alpha": 3.0}
ADAPTERS = {
    "lora": AdapterPlan(),
    "lora, attention": AdapterPlan(targets="attention"),
    "lora, rank-stabilised": AdapterPlan(rank_stabilised=True),
    "lora, convolutions": AdapterPlan(**WITH_CONVOLUTIONS),
    "dora, convolutions": AdapterPlan(kind="dora", **WITH_CONVOLUTIONS),
    "loha, convolutions": AdapterPlan(kind="loha", **WITH_CONVOLUTIONS),
    "oft, convolutions": AdapterPlan(kind="oft", **WITH_CONVOLUTIONS),
    "lokr, convolutions": AdapterPlan(kind="lokr", **(WITH_CONVOLUTIONS | {"conv_rank": 3})),
    "lokr, factor 2": AdapterPlan(kind="lokr", lokr_factor=2, **WITH_CONVOLUTIONS),
}
"""At these sizes, "lokr, convolutions" has whole matrices and "lokr, factor 2" has split ones."""


class Warnings(logging.Handler):
    """Keeps every warning that ComfyUI logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def compare(family: str) -> dict:
    """Base and LoRA outputs of one family by both programs, as relative errors."""
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    build = {"sd15": tiny_sd15, "sdxl": tiny_sdxl}[family]
    checkpoint = write_checkpoint(FOLDER / f"{family}.safetensors", build(seed=2, vocabulary=49408))
    ours = load_base_model(checkpoint, torch.float32)
    options = {f"clip_{name}_model_config": TEXT_CONFIG for name in "lg"}
    unet, clip, *_ = comfy.sd.load_checkpoint_guess_config(str(checkpoint), output_vae=False, te_model_options=options)
    result = {"detected": type(unet.model.model_config).__name__}
    base = our_outputs(ours)
    result["base_errors"] = errors(their_outputs(unet, clip, family), base)

    result["adapters"] = {name: compare_adapter(unet, clip, checkpoint, name) for name in ADAPTERS}
    result["warnings"] = warnings.texts
    logging.getLogger().removeHandler(warnings)
    return result


def compare_adapter(unet, clip, checkpoint: Path, name: str) -> dict:
    """One kind of adapter, with random weights, on all parts of a family."""
    ours = load_base_model(checkpoint, torch.float32)
    base = our_outputs(ours)
    targets = targets_of(ours, ADAPTERS[name].targets)
    lora = FOLDER / "lora.safetensors"
    lora.write_bytes(random_lora(targets, ADAPTERS[name]))
    weights, metadata = comfy.utils.load_torch_file(str(lora), safe_load=True, return_metadata=True)
    patched = comfy.sd.load_lora_for_models(unet, clip, weights, 1.0, 1.0, lora_metadata=metadata)
    with_lora = our_outputs(ours)
    patches = [(part, key) for part in (patched[0], patched[1].patcher) for key in part.patches]
    return {
        "targets": sum(len(found) for _, found in targets),
        "patches": len(patches),
        "changed": sum(is_changed(part, key) for part, key in patches),
        "errors": errors(their_outputs(*patched, ours.family), with_lora),
        "effects": errors(with_lora, base),
    }


def is_changed(part, key: str) -> bool:
    """Whether the patch really moves its weight; a patch of the wrong shape leaves it as it was."""
    before = comfy.utils.get_attr(part.model, key).detach().clone().float()
    after = comfy.lora.calculate_weight(part.patches[key], before.clone(), key)
    return (after - before).norm().item() > 1e-3 * before.norm().item()


def random_lora(targets: list, plan: AdapterPlan) -> bytes:
    """Adapters on every part, as after training; they stay on. The file, in fp32."""
    tensors = {}
    for number, (module, found) in enumerate(targets):
        adapters = Adapters(module, found, RANK, ALPHA, plan)
        randomise(adapters, number)
        tensors |= adapters.tensors()
    return lora_bytes(tensors, {"ss_output_name": "test"}, torch.float32)


# ---------------------------------------------------------------------------------------------- outputs of both sides


def fixed_inputs(family: str) -> tuple[torch.Tensor, torch.Tensor, Conditioning]:
    """Noisy latents, a timestep, and text states that do not come from a text encoder."""
    generator = torch.Generator().manual_seed(1)
    width, pooled = {"sd15": (64, None), "sdxl": (128, torch.randn(1, 64, generator=generator))}[family]
    x_BCHW = torch.randn((1, 4, 8, 16), generator=generator)
    return x_BCHW, torch.tensor([321]), Conditioning(torch.randn((1, 77, width), generator=generator), pooled)


SIZE = PictureSize((600, 800), (16, 24), (64, 128))


@torch.no_grad()
def our_outputs(model: BaseModel) -> dict[str, torch.Tensor]:
    found = {"unet": model.predict(*fixed_inputs(model.family), [SIZE])}
    for clip_skip in (1, 2) if model.family == "sd15" else (2,):
        text = model.encode_text(PROMPTS, clip_skip)
        found[f"text {clip_skip}"] = text.states_BLD
        if text.pooled_BP is not None:
            found["pooled"] = text.pooled_BP
    return found


@torch.no_grad()
def their_outputs(unet, clip, family: str) -> dict[str, torch.Tensor]:
    comfy.model_management.load_models_gpu([unet], force_full_load=True)
    x_BCHW, t_B, text = fixed_inputs(family)
    y = None
    if family == "sdxl":
        (height, width), (top, left), (target_height, target_width) = SIZE.original, SIZE.crop, SIZE.target
        y = unet.model.encode_adm(
            pooled_output=text.pooled_BP, width=width, height=height, crop_w=left, crop_h=top,
            target_width=target_width, target_height=target_height, device="cpu",
        )  # fmt: skip
    found = {"unet": unet.model.diffusion_model(x_BCHW, t_B, context=text.states_BLD, y=y)}
    for clip_skip in (1, 2) if family == "sd15" else (2,):
        clip.clip_layer(-clip_skip)
        pairs = [clip.encode_from_tokens(first_77(clip.tokenize(text)), return_pooled=True) for text in PROMPTS]
        found[f"text {clip_skip}"] = torch.cat([states for states, _ in pairs])
    if family == "sdxl":
        found["pooled"] = torch.cat([pooled for _, pooled in pairs])
    return found


def first_77(tokens: dict) -> dict:
    """ComfyUI goes on in further chunks of 75 tokens where a prompt is longer; the trainer cuts it."""
    return {name: chunks[:1] for name, chunks in tokens.items()}


def errors(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> dict[str, float]:
    """Relative errors of what both have."""
    return {name: ((found[name] - expected[name]).norm() / expected[name].norm()).item() for name in found}


if __name__ == "__main__":
    teach_tiny_models()
    report = {family: compare(family) for family in ("sd15", "sdxl")}
    print(json.dumps(report))
