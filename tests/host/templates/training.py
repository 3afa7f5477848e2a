"""The templates that train: one graph, with the preset of a subject and what else the story needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .graph import DEMO_BASE, DEMO_FOLDER, DEMO_REGULARISATION, TRIGGER, Node, Stage, Template

Preset = dict[str, Any]
"""One of those that the page offers, as /lora_atelier/presets lists them."""

PICTURES = "1 Pictures · 图片"
CROP_AND_TAG = "2 Crop and tag · 裁剪与打标"
TRAIN = "3 Train · 训练"
RESULT = "4 Result · 结果"

_PROMPT = f"{TRIGGER}, cat, pink background"
_PROMPTS = f"{TRIGGER}, cat\n{_PROMPT}"
_NEGATIVE = "lowres, blurry, bad anatomy"
_MEMORY = 12
"""GB of GPU memory that the templates are set for."""


def training_templates(presets: list[Preset]) -> list[Template]:
    def chosen(subject: str, family: str) -> Preset:
        wanted = {"subject": subject, "family": family, "memory": _MEMORY}
        (found,) = [preset for preset in presets if wanted.items() <= preset.items()]
        return found

    character = chosen("anime character", "SD1.5")
    return [
        quick_start(),
        _training("train_a_person_sd15", chosen("person", "SD1.5"), lora="my_person"),
        _training("train_an_anime_character_sd15", character, lora="my_character"),
        _training("train_a_character_sdxl", chosen("anime character", "SDXL"), lora="my_character_xl"),
        _training("train_a_style", chosen("style", "SD1.5"), lora="my_style"),
        with_regularisation(_training("train_with_regularisation", character, lora="my_character")),
        continued(_training("continue_a_lora", character, lora="my_character_2")),
        compared(_training("compare_epochs", character, lora="my_character")),
        used(_training("train_and_use", character, lora="my_character")),
    ]


def quick_start() -> Template:
    """The demo: settings of its own, as its base model is a toy of 32 x 32 pixels."""
    nodes = _pictures({"regularisation": DEMO_REGULARISATION}, size={"width": 32, "height": 32})
    settings = {
        "name": "mochi",
        "batch_size": 8,
        "alpha": 16.0,
        "learning_rate": 0.002,
        "text_encoder_rate": 0.001,
        "save_every_epochs": 2,
    }
    drawing = {
        "prompt": _PROMPT,
        "width": 32,
        "height": 32,
        "steps": 25,
        "cfg": 4.0,
        "sampler": "ddim",
        "seed": 1,
        "count": 4,
    }
    nodes["train"] = _train(settings, {})
    nodes |= _result(drawing)
    return _template("quick_start", nodes, beside=(), photo=("train", "preview"))


def with_regularisation(template: Template) -> Template:
    load = _with_settings(template.nodes["load"], {"regularisation": DEMO_REGULARISATION})
    return replace(template, nodes=template.nodes | {"load": load}, photo=("load", "crop"))


def continued(template: Template) -> Template:
    """Start from a LoRA, with half the steps at half the rates."""
    train = template.nodes["train"]
    rates = {name: train.settings[name] / 2 for name in ("learning_rate", "unet_rate", "text_encoder_rate")}
    settings = {**rates, "steps": train.settings["steps"] // 2}
    train = replace(_with_settings(train, settings), links={**train.links, "network": "network.network"})
    network = Node(type="LoraAtelierLoraNetwork", settings={"start_from": "none"})
    nodes = _before("train", {"network": network}, template.nodes | {"train": train})
    beside, *rest = template.stages[2].columns
    train_stage = Stage(TRAIN, (("network", *beside[:2]), ("samples",), *rest))
    return replace(
        template,
        nodes=nodes,
        stages=(*template.stages[:2], train_stage, *template.stages[3:]),
        photo=("network",),
    )


def compared(template: Template) -> Template:
    """Every saved epoch by strength, in place of the one comparison."""
    preview = template.nodes["preview"].settings
    settings = {name: preview[name] for name in ("width", "height", "negative")}
    sheet = Node(
        type="LoraAtelierEpochSheet",
        settings={**settings, "prompts": _PROMPTS, "strengths": "0.6, 0.8, 1"},
        links={"lora": "train.lora"},
    )
    shown = Node(type="PreviewImage", title="Epoch sheet · 轮次对比", links={"images": "sheet.sheet"})
    kept = {name: node for name, node in template.nodes.items() if name != "preview"}
    stage = Stage(RESULT, (("save", "sheet"), ("shown",), ("curve", "verdict")))
    return replace(
        template,
        nodes=kept | {"sheet": sheet, "shown": shown},
        stages=(*template.stages[:3], stage),
        photo=("shown",),
    )


def used(template: Template) -> Template:
    """ComfyUI's own nodes draw with the LoRA as soon as it is saved."""
    preview = template.nodes["preview"].settings
    kept = {name: node for name, node in template.nodes.items() if name != "preview"}
    size = {name: preview[name] for name in ("width", "height")}
    stages = (
        *template.stages[:3],
        Stage(RESULT, (("save", "curve", "verdict"),)),
        Stage(
            "5 Use · 出图",
            (("checkpoint", "loader", "latent"), ("positive", "negative", "sampler"), ("decode", "shown")),
        ),
    )
    return replace(template, nodes=kept | _drawing(size), stages=stages, photo=("checkpoint", "sampler"))


def _training(name: str, preset: Preset, *, lora: str) -> Template:
    needs = preset["needs"]
    size = needs["Smart Crop"]
    applied = {"lora_atelier_preset": {key: preset[key] for key in ("subject", "family", "memory")}}
    nodes = _pictures({}, size)
    nodes["noise"] = Node(type="LoraAtelierNoiseAndLoss", settings=needs.get("Noise and Loss", {}))
    nodes["options"] = Node(type="LoraAtelierCaptionOptions", settings=needs.get("Caption Options", {}))
    drawing = {"prompts": _PROMPTS, "negative": _NEGATIVE, "every_epochs": 5, **size}
    nodes["samples"] = Node(type="LoraAtelierSamples", settings=drawing)
    links = {
        "noise_and_loss": "noise.noise_and_loss",
        "caption_options": "options.caption_options",
        "samples": "samples.samples",
    }
    train = _train({**preset["fields"], "name": lora}, links)
    nodes["train"] = replace(train, properties=applied)
    nodes |= _result({"prompt": _PROMPT, "negative": _NEGATIVE, "count": 2, **size})
    return _template(name, nodes, beside=("noise", "options", "samples"), photo=("train", "preview"))


def _template(name: str, nodes: dict[str, Node], *, beside: tuple[str, ...], photo: tuple[str, ...]) -> Template:
    train = (beside, ("train",)) if beside else (("train",),)
    stages = (
        Stage(PICTURES, (("load",),)),
        Stage(CROP_AND_TAG, (("crop", "proof"), ("tag",))),
        Stage(TRAIN, train),
        Stage(RESULT, (("save", "preview"), ("curve", "verdict"))),
    )
    return Template(name=name, nodes=nodes, stages=stages, photo=photo)


def _pictures(load: dict[str, Any], size: dict[str, int]) -> dict[str, Node]:
    return {
        "load": Node(type="LoraAtelierLoadDataset", settings={"folder": DEMO_FOLDER, "regularisation": "none", **load}),
        "crop": Node(type="LoraAtelierSmartCrop", settings=size, links={"dataset": "load.dataset"}),
        "proof": Node(type="PreviewImage", title="Proof sheet · 裁剪总览", links={"images": "crop.proof_sheet"}),
        "tag": Node(type="LoraAtelierAutoTag", settings={"trigger_word": TRIGGER}, links={"dataset": "crop.dataset"}),
    }


def _train(settings: dict[str, Any], links: dict[str, str]) -> Node:
    settings = {**settings, "base_model": DEMO_BASE}
    return Node(type="LoraAtelierTrainLora", settings=settings, links={"dataset": "tag.dataset", **links})


def _result(drawing: dict[str, Any]) -> dict[str, Node]:
    return {
        "save": Node(type="LoraAtelierSaveLora", links={"lora": "train.lora"}),
        "preview": Node(type="LoraAtelierPreviewSample", settings=drawing, links={"lora": "train.lora"}),
        "curve": Node(type="PreviewImage", title="Loss curve · 损失曲线", links={"images": "train.loss_curve"}),
        "verdict": Node(type="PreviewAny", title="Verdict · 训练结论", links={"source": "train.verdict"}),
    }


def _drawing(size: dict[str, int]) -> dict[str, Node]:
    """Load checkpoint and LoRA, prompts, sampler, picture."""
    text, loaded = "CLIPTextEncode", {"clip": "loader.CLIP"}
    checkpoint = {"ckpt_name": "v1-5-pruned-emaonly-fp16.safetensors"}
    return {
        "checkpoint": Node(type="CheckpointLoaderSimple", settings=checkpoint),
        "loader": Node(
            type="LoraLoader",
            links={"model": "checkpoint.MODEL", "clip": "checkpoint.CLIP", "lora_name": "save.lora_name"},
        ),
        "latent": Node(type="EmptyLatentImage", settings=size),
        "positive": Node(type=text, settings={"text": _PROMPT}, links=loaded),
        "negative": Node(type=text, settings={"text": _NEGATIVE}, links=loaded),
        "sampler": Node(
            type="KSampler",
            settings={"cfg": 7.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"},
            links={
                "model": "loader.MODEL",
                "positive": "positive.CONDITIONING",
                "negative": "negative.CONDITIONING",
                "latent_image": "latent.LATENT",
            },
        ),
        "decode": Node(type="VAEDecode", links={"samples": "sampler.LATENT", "vae": "checkpoint.VAE"}),
        "shown": Node(type="PreviewImage", title="Picture · 成图", links={"images": "decode.IMAGE"}),
    }


def _with_settings(node: Node, settings: dict[str, Any]) -> Node:
    return replace(node, settings={**node.settings, **settings})


def _before(name: str, added: dict[str, Node], nodes: dict[str, Node]) -> dict[str, Node]:
    """`nodes` with `added` in front of `name`."""
    ordered = [*nodes]
    place = ordered.index(name)
    return {key: nodes[key] for key in ordered[:place]} | added | {key: nodes[key] for key in ordered[place:]}
