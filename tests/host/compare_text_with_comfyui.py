"""Encodes prompts with ComfyUI's own nodes and with our base models, and prints how far the two are apart.

    COMFYUI_DIR=~/ComfyUI python compare_text_with_comfyui.py FOLDER

Runs in ComfyUI's Python; FOLDER takes the checkpoints. Prints one JSON object with an entry for each family.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(os.environ.get("COMFYUI_DIR", "~/ComfyUI")).expanduser()))

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
sys.argv, FOLDER = [sys.argv[0], "--cpu", "--force-fp32", "--fp32-text-enc"], Path(sys.argv[1])

import torch  # noqa: E402

torch.set_num_threads(1)

import comfy.sd  # noqa: E402
from comfy.conds import CONDCrossAttn  # noqa: E402

from nodes import CLIPSetLastLayer, CLIPTextEncode  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2]))  # after ComfyUI is in: both have a package "tests" and "nodes"

from tests.host.tiny_in_comfyui import TEXT_CONFIG, teach_tiny_models  # noqa: E402
from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint  # noqa: E402
from trainer_core.families.base_model import BaseModel, Conditioning  # noqa: E402
from trainer_core.families.loading import load_base_model  # noqa: E402
from trainer_core.families.prompts import AS_PROMPT, chunk_prompts  # noqa: E402

_BOORU = "1girl, solo, long hair, blue eyes, looking at viewer, smile, upper body, outdoors, cherry blossoms, "
PROMPTS = {
    "short": ["", "!", "a photo of a cat", "  two  spaces,\nand a line ", "naïve café 猫 🐱", "[cat] {a|b}"],
    "long": [
        *("cat " * count for count in (74, 75, 76, 80, 149, 150, 151, 225, 226, 300)),
        *(_BOORU * count for count in (3, 4, 7, 12)),
        "antidisestablishmentarianism" * 40,
    ],
    "commas at the edge": ["cat " * 74 + ", red, blue", "cat " * 75 + ", red", "cat " * 73 + "dog,,,", "cat, " * 38],
    "weights": [
        "a (cat:1.2), dog", "a (cat), dog", "(cat:0)", "(cat:-1.5), dog", "(a cat:1.0)", "(cat:.5)(dog: 2 )",
        "(masterpiece, best quality:1.4), 1girl, (blue eyes:0.7)", "(a:b:1.5), (a:b), (:1.5), ()",
    ],
    "nested brackets": ["((cat))", "(a (cat:1.2) b:0.5)", "(((a) b) c), d", "(a (b (c:1.5) d) e:0.8) f"],
    "escaped brackets": [r"saber \(fate\)", r"(saber \(fate\):1.3), cat", r"(cat \)", r"\(a (b\) c:1.2)", r"\\(a\\)"],
    "brackets without a partner": ["(cat", "cat)", ":), (cat), :(", "((cat), dog", "a) (b) (c", ")("],
    "long and weighted": [
        "cat " * 71 + "(cat cat cat cat cat cat cat:1.2), dog", "cat " * 71 + "(cat cat cat cat cat cat cat cat:1.2)",
        "(" + _BOORU * 6 + ":1.3), cat", (_BOORU + "(smile:1.2), ((hat)), ") * 6, "cat " * 75 + "(dog:1.5)",
        "(cat:1.1) " * 90,
    ],
}  # fmt: skip
LAYERS = {"sd15": (None, -1, -2), "sdxl": (None, -2)}
"""Settings of CLIP Set Last Layer; None: the node is not there. SDXL at -1 is no use that anyone trains for."""


def compare(family: str) -> dict:
    """What differs in one family: tokens, and the largest relative error of each kind of prompt by layer."""
    build = {"sd15": tiny_sd15, "sdxl": tiny_sdxl}[family]
    checkpoint = write_checkpoint(FOLDER / f"{family}.safetensors", build(seed=2, vocabulary=49408))
    ours = load_base_model(checkpoint, torch.float32)
    options = {f"clip_{name}_model_config": TEXT_CONFIG for name in "lg"}
    _, clip, *_ = comfy.sd.load_checkpoint_guess_config(str(checkpoint), output_vae=False, te_model_options=options)
    everything = [prompt for prompts in PROMPTS.values() for prompt in prompts] + random_prompts(200)
    result = {
        "prompts": len(everything),
        "wrong_tokens": [prompt for prompt in everything if not has_same_tokens(ours, clip, prompt)],
        "has_same_batch": has_same_batch(ours),
        "effect_of_a_weight": distance(encoded(ours, "a cat", 1), encoded(ours, "a (cat:1.2)", 1)),
        "errors": {},
    }
    for layer in LAYERS[family]:
        set_clip = clip if layer is None else CLIPSetLastLayer().set_last_layer(clip, layer)[0]
        groups = PROMPTS | {"random": random_prompts(12)}
        result["errors"] |= {
            f"{name}, layer {layer}": max(error(ours, set_clip, prompt, layer) for prompt in prompts)
            for name, prompts in groups.items()
        }
    return result


def random_prompts(count: int) -> list[str]:
    """Words, brackets, colons and numbers in no order; the same ones every time."""
    draws = random.Random(4)
    pieces = ["(", "(", ")", ")", ":", ":1.3", ":0.6)", "cat", "dog ", ", ", r"\(", r"\)", " ", "\\", "a long word, "]
    return ["".join(draws.choices(pieces, k=draws.randint(1, 60))) for _ in range(count)]


def has_same_tokens(model: BaseModel, clip, prompt: str) -> bool:
    """Whether both cut a prompt into the same chunks of the same tokens with, to rounding, the same weights."""
    theirs = clip.tokenize(prompt)
    for name, tokenizer, padding in zip("lg", model.tokenizers, (None, 0), strict=False):
        ours = chunk_prompts(tokenizer, [prompt], AS_PROMPT, padding=padding)
        ids = [[token for token, _ in row] for row in theirs[name]]
        weights = torch.tensor([[weight for _, weight in row] for row in theirs[name]])
        count = ours.counts[0]  # an empty chunk may follow, to weigh against
        if ours.ids_NL[:count].tolist() != ids or not torch.allclose(ours.weights_NL[:count], weights):
            return False
    return True


def has_same_batch(model: BaseModel) -> bool:
    """Whether prompts of 1, 2 and 3 chunks are put together as ComfyUI's sampler does it."""
    parts = [encoded(model, "cat " * count, 1) for count in (5, 100, 200)]
    first, *others = (CONDCrossAttn(part.states_BLD) for part in parts)
    return torch.equal(Conditioning.join(parts).states_BLD, first.concat(others))


@torch.no_grad()
def encoded(model: BaseModel, prompt: str, clip_skip: int) -> Conditioning:
    return model.encode_text([prompt], clip_skip, AS_PROMPT)


def error(model: BaseModel, clip, prompt: str, layer: int | None) -> float:
    ((states, extra),) = CLIPTextEncode().encode(clip, prompt)[0]
    pooled = extra["pooled_output"] if model.family == "sdxl" else None
    return distance(encoded(model, prompt, -(layer or -1)), Conditioning(states, pooled))


def distance(found: Conditioning, expected: Conditioning) -> float:
    """The larger relative error of states and pooled text; infinite where the shapes differ."""
    pairs = [(found.states_BLD, expected.states_BLD), (found.pooled_BP, expected.pooled_BP)]
    pairs = [(one, other) for one, other in pairs if other is not None]
    if any(one.shape != other.shape for one, other in pairs):
        return float("inf")
    return max(((one - other).norm() / other.norm()).item() for one, other in pairs)


if __name__ == "__main__":
    teach_tiny_models()
    print(json.dumps({family: compare(family) for family in ("sd15", "sdxl")}))
