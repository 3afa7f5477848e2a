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
    "cycles": 3,
    "optimizer": "AdamW",
    "gradient_checkpointing": False,
    "steps": 0,
    "accumulation": 1,
    "warmup_steps": 0,
    "power": 1.0,
    "floor": 0.0,
    "decay_share": 0.2,
    "lora_plus_ratio": 1.0,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "beta1": 0.0,
    "beta2": 0.0,
    "prodigy_d_coef": 1.0,
    "prodigy_d0": 1e-6,
    "prodigy_bias_correction": True,
    "prior_loss_weight": 1.0,
    "masked_loss": False,
    "loss": "l2",
    "huber_c": 0.1,
    "huber_schedule": "snr",
    "flip": False,
    "clip_skip": 1,
    "longest_prompt": 75,
    "prompt_weights": False,
    "precision": "fp32",
    "save_precision": "fp16",
    "base_precision": "full",
    "checkpoint_every": 1,
    "offload": False,
    "compile": False,
    "cuda_graphs": True,
    "short_memory": "refuse",
    "ema_decay": 0.0,
    "ema_warm_up": True,
    "save_every_epochs": 1,
    "save_every_steps": 0,
    "keep_last": 0,
    "state_every_steps": 1,
    "seed": 0,
    "validate_every_epochs": 0,
    "held_out_share": 0.0,
    "two_prompts": False,
    "class_words": "",
    "validation_seed": 0,
    "devices": 1,
}
_NETWORK_SETTINGS = {
    "kind": "lora",
    "targets": "attention and mlp",
    "conv_rank": 8,
    "conv_alpha": 4.0,
    "dropout": 0.0,
    "block_weights": "",
    "start_from": "none",
    "merge_first": "",
    "lokr_factor": 0,
    "rank_stabilised": False,
    "rank_dropout": 0.0,
    "module_dropout": 0.0,
    "max_norm": 0.0,
}
_NOISE_SETTINGS = {
    "noise_offset": 0.0,
    "noise_offset_random": False,
    "multires_iterations": 0,
    "multires_discount": 0.3,
    "min_snr_gamma": 0.0,
    "perturbation": 0.0,
    "perturbation_random": False,
    "debiased": False,
    "scale_v_prediction": False,
    "v_prediction_like": 0.0,
    "timestep_sampling": "uniform",
    "first_timestep": 0,
    "last_timestep": 999,
    "logit_mean": 0.0,
    "logit_std": 1.0,
    "timestep_bias": 3.0,
    "prediction": "as the base model",
    "zero_terminal_snr": "as the base model",
}
_CAPTION_SETTINGS = {
    "shuffle": False,
    "keep_first": 0,
    "caption_dropout": 0.0,
    "tag_dropout": 0.0,
    "wildcards": False,
    "keep_separator": "",
}

_DRAWING_SETTINGS = {"width": 64, "height": 64, "steps": 2, "cfg": 4.0, "sampler": "euler", "seed": 0}
_SAMPLE_SETTINGS = {"prompts": "mochi, cat", "negative": "", "every_epochs": 1, "before_first": True}
_SHEET_SETTINGS = {"prompts": "mochi, cat", "negative": "", "strengths": "1", "cell": 64}


def node(class_type: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def training_graph(folder: str, settings: dict[str, Any]) -> Graph:
    """Load, crop, caption, train, save. `settings` replace Train LoRA's own."""
    return {
        "load": node("LoraAtelierLoadDataset", {"folder": folder} | _LOAD_SETTINGS),
        "crop": node("LoraAtelierSmartCrop", {"dataset": ["load", 0]} | _CROP_SETTINGS),
        "tag": node(
            "LoraAtelierAutoTag",
            {"dataset": ["crop", 0]} | _TAG_SETTINGS | {"trigger_word": "mochi"},
        ),
        "train": node("LoraAtelierTrainLora", {"dataset": ["tag", 0]} | _TRAIN_SETTINGS | settings),
        "save": node("LoraAtelierSaveLora", {"lora": ["train", 0], "name": "", "epoch": 0}),
    }


def with_options(
    graph: Graph, *, network: dict[str, Any], noise_and_loss: dict[str, Any], caption_options: dict[str, Any]
) -> Graph:
    """A training graph with the nodes beside Train LoRA connected. The settings replace theirs."""
    beside = {
        "network": node("LoraAtelierLoraNetwork", _NETWORK_SETTINGS | network),
        "noise_and_loss": node("LoraAtelierNoiseAndLoss", _NOISE_SETTINGS | noise_and_loss),
        "caption_options": node("LoraAtelierCaptionOptions", _CAPTION_SETTINGS | caption_options),
    }
    links = {socket: [socket, 0] for socket in beside}
    return graph | beside | {"train": node(graph["train"]["class_type"], graph["train"]["inputs"] | links)}


def with_samples(graph: Graph, settings: dict[str, Any]) -> Graph:
    """A training graph that draws samples. `settings` replace those of Samples."""
    samples = node("LoraAtelierSamples", _SAMPLE_SETTINGS | _DRAWING_SETTINGS | settings)
    train = node(graph["train"]["class_type"], graph["train"]["inputs"] | {"samples": ["samples", 0]})
    return graph | {"samples": samples, "train": train}


def with_epoch_sheet(graph: Graph, settings: dict[str, Any]) -> Graph:
    """A training graph that compares its epochs. `settings` replace those of Epoch Sheet."""
    sheet = _SHEET_SETTINGS | _DRAWING_SETTINGS | settings
    return graph | {"sheet": node("LoraAtelierEpochSheet", {"lora": ["train", 0]} | sheet)}


def training_again_graph(folder: str, lora: str, name: str) -> Graph:
    """Load, crop, caption, and train with the settings that `lora` holds."""
    again = {"dataset": ["tag", 0], "base_model": SLIM, "lora": lora, "name": name}
    return training_graph(folder, {}) | {"train": node("LoraAtelierTrainAgain", again)}


def tagging_graph(folder: str, settings: dict[str, Any]) -> Graph:
    """Load, caption, show. `settings` replace Auto Tag's own."""
    return {
        "load": node("LoraAtelierLoadDataset", {"folder": folder} | _LOAD_SETTINGS),
        "tag": node("LoraAtelierAutoTag", {"dataset": ["load", 0]} | _TAG_SETTINGS | settings),
        "captions": node("PreviewAny", {"source": ["tag", 1]}),
        "report": node("PreviewAny", {"source": ["tag", 2]}),
    }


def drawing_graph(lora_name: str | list[Any] | None) -> Graph:
    """ComfyUI's own nodes draw one picture with the slim checkpoint and, if given, a LoRA."""
    graph = {
        "checkpoint": node("CheckpointLoaderSimple", {"ckpt_name": SLIM}),
        "prompt": node("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": "mochi, cat"}),
        "nothing": node("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": ""}),
        "latent": node("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "sampler": node(
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
        "decode": node("VAEDecode", {"samples": ["sampler", 0], "vae": ["checkpoint", 2]}),
        "picture": node("PreviewImage", {"images": ["decode", 0]}),
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
    graph["lora"] = node("LoraLoader", lora)
    graph["sampler"]["inputs"]["model"] = ["lora", 0]
    for text in ("prompt", "nothing"):
        graph[text]["inputs"]["clip"] = ["lora", 1]
    return graph
