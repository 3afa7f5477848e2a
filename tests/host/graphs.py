"""Graphs in API form that the host tests queue."""

from __future__ import annotations

from typing import Any

Graph = dict[str, Any]

SLIM = "slim_sd15.safetensors"

_LOAD_SETTINGS = {
    "regularisation": "none",
    "repeats": 1,
    "smallest_side": 64,
    "largest_aspect": 4.0,
    "background": "white",
    "transparency_as_mask": False,
    "caption_lines": "join",
    "most_unusable": 20.0,
}
_CROP_SETTINGS = {
    "width": 64,
    "height": 64,
    "method": "center",
    "buckets": False,
    "bucket_step": 0,
    "smallest_bucket_side": 0,
    "largest_bucket_side": 0,
    "enlarge": False,
    "zoom": False,
    "pad": False,
    "face_model": "none",
    "overrides": "",
}
_TAG_SETTINGS = {
    "method": "captions from files",
    "existing": "keep",
    "threshold": 0.0,
    "trigger_word": "",
    "remove_tags": "",
    "add_tags": "",
    "character_threshold": 0.0,
    "remove_kinds": "",
    "replace_tags": "",
    "ignore_tags": "",
    "underscores": False,
    "order": "score",
    "fewest_tags": 0,
    "most_tags": 0,
    "beams": 3,
    "most_tokens": 75,
    "fewest_tokens": 5,
    "prefix": "",
    "detail": "short",
    "write_files": False,
    "edits": "",
}
_TRAIN_SETTINGS = {
    "base_model": SLIM,
    "name": "test",
    "epochs": 2,
    "batch_size": 2,
    "rank": 4,
    "alpha": 4.0,
    "learning_rate": 0.01,
    "unet_rate": -1.0,
    "text_encoder_rate": 0.01,
    "scheduler": "constant",
    "warmup_steps": 0,
    "optimizer": "AdamW",
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "prior_loss_weight": 1.0,
    "masked_loss": False,
    "flip": False,
    "clip_skip": 1,
    "precision": "fp32",
    "save_precision": "fp16",
    "gradient_checkpointing": False,
    "save_every_epochs": 1,
    "state_every_steps": 1,
    "seed": 0,
}


def training_graph(folder: str, settings: dict[str, Any]) -> Graph:
    """Load, crop, caption, train, save. `settings` replace Train LoRA's own."""
    return {
        "load": _node("LoraAtelierLoadDataset", {"folder": folder} | _LOAD_SETTINGS),
        "crop": _node("LoraAtelierSmartCrop", {"dataset": ["load", 0]} | _CROP_SETTINGS),
        "tag": _node(
            "LoraAtelierAutoTag",
            {"dataset": ["crop", 0]} | _TAG_SETTINGS | {"trigger_word": "mochi"},
        ),
        "train": _node("LoraAtelierTrainLora", {"dataset": ["tag", 0]} | _TRAIN_SETTINGS | settings),
        "save": _node("LoraAtelierSaveLora", {"lora": ["train", 0], "name": "", "epoch": 0}),
    }


def tagging_graph(folder: str, settings: dict[str, Any]) -> Graph:
    """Load, caption, show. `settings` replace Auto Tag's own."""
    return {
        "load": _node("LoraAtelierLoadDataset", {"folder": folder} | _LOAD_SETTINGS),
        "tag": _node("LoraAtelierAutoTag", {"dataset": ["load", 0]} | _TAG_SETTINGS | settings),
        "captions": _node("PreviewAny", {"source": ["tag", 1]}),
        "report": _node("PreviewAny", {"source": ["tag", 2]}),
    }


def drawing_graph(lora_name: str | list[Any] | None) -> Graph:
    """ComfyUI's own nodes draw one picture with the slim checkpoint and, if given, a LoRA."""
    graph = {
        "checkpoint": _node("CheckpointLoaderSimple", {"ckpt_name": SLIM}),
        "prompt": _node("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": "mochi, cat"}),
        "nothing": _node("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": ""}),
        "latent": _node("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "sampler": _node(
            "KSampler",
            {
                "model": ["checkpoint", 0],
                "positive": ["prompt", 0],
                "negative": ["nothing", 0],
                "latent_image": ["latent", 0],
                "seed": 1,
                "steps": 3,
                "cfg": 4.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
            },
        ),
        "decode": _node("VAEDecode", {"samples": ["sampler", 0], "vae": ["checkpoint", 2]}),
        "picture": _node("PreviewImage", {"images": ["decode", 0]}),
    }
    return graph if lora_name is None else _with_lora(graph, lora_name)


def _with_lora(graph: Graph, lora_name: str | list[Any]) -> Graph:
    lora = {
        "model": ["checkpoint", 0],
        "clip": ["checkpoint", 1],
        "lora_name": lora_name,
        "strength_model": 1.0,
        "strength_clip": 1.0,
    }
    graph["lora"] = _node("LoraLoader", lora)
    graph["sampler"]["inputs"]["model"] = ["lora", 0]
    for text in ("prompt", "nothing"):
        graph[text]["inputs"]["clip"] = ["lora", 1]
    return graph


def _node(class_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
