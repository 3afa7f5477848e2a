"""Which option of sd-scripts is which field of a job, with sd-scripts' own default where the option is left out.

What one option says alone is a row of FIELDS. Options that only mean something together (optimizer, network, pictures)
have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..training.plan.validation import MOST_HELD_OUT
from .networks import RANK
from .options import Options

Read = Callable[[Options, str, Any], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """An option, the field of the plan that it becomes, how it is read, and sd-scripts' default."""

    option: str
    place: str
    read: Read
    default: Any


def _last_timestep(options: Options, name: str, default: Any) -> int:
    """sd-scripts leave their limit out; the plan's belongs to the range."""
    return options.whole(name, default) - 1


def _precision(options: Options, name: str, default: Any) -> str:
    return {"no": "fp32", "float": "fp32"}.get(given := options.text(name, default), given)


def _base(options: Options, name: str, default: Any) -> str:
    """sd-scripts keep the text encoders in fp8 as well, but for fp8_base_unet."""
    only_unet = options.flag("fp8_base_unet", False)
    return "fp8" if options.flag(name, default) or only_unet else "full"


def _prediction(options: Options, name: str, default: Any) -> str:
    return "v_prediction" if options.flag(name, default) else "as the base model"


def _alpha(options: Options, name: str, default: Any) -> float:
    """0 stands for the rank."""
    return options.number(name, default) or float(options.whole("network_dim", RANK))


def _held_out_share(options: Options, name: str, default: Any) -> float:
    share = options.number(name, default)
    if share > MOST_HELD_OUT:
        options.notes.append(f"{name} {share:g}: at most {MOST_HELD_OUT:g} of the pictures are held out here")
    return min(share, MOST_HELD_OUT)


def _zero_snr(options: Options, name: str, default: Any) -> str:
    return "on" if options.flag(name, default) else "as the base model"


FIELDS = (
    Field("train_batch_size", "batch_size", Options.whole, 1),
    Field("gradient_accumulation_steps", "accumulation", Options.whole, 1),
    Field("network_dim", "network.rank", Options.whole, RANK),
    Field("network_alpha", "network.alpha", _alpha, 1.0),
    Field("scale_weight_norms", "adapter.max_norm", Options.number, 0.0),
    Field("network_weights", "adapter.start_from", Options.text, ""),
    Field("learning_rate", "optimizer.learning_rate", Options.number, 2e-6),
    Field("max_grad_norm", "optimizer.max_grad_norm", Options.number, 1.0),
    Field("lr_scheduler_num_cycles", "schedule.cycles", Options.whole, 1),
    Field("lr_scheduler_power", "schedule.power", Options.number, 1.0),
    Field("lr_scheduler_min_lr_ratio", "schedule.floor", Options.number, 0.0),
    Field("prior_loss_weight", "loss.prior_loss_weight", Options.number, 1.0),
    Field("huber_c", "loss.huber_c", Options.number, 0.1),
    Field("huber_schedule", "loss.huber_schedule", Options.text, "snr"),
    Field("min_snr_gamma", "weighting.min_snr_gamma", Options.number, 0.0),
    Field("debiased_estimation_loss", "weighting.debiased", Options.flag, False),
    Field("scale_v_pred_loss_like_noise_pred", "weighting.scale_v_prediction", Options.flag, False),
    Field("v_pred_like_loss", "weighting.v_prediction_like", Options.number, 0.0),
    Field("noise_offset", "noise.offset", Options.number, 0.0),
    Field("noise_offset_random_strength", "noise.offset_random", Options.flag, False),
    Field("multires_noise_iterations", "noise.multires_iterations", Options.whole, 0),
    Field("multires_noise_discount", "noise.multires_discount", Options.number, 0.3),
    Field("ip_noise_gamma", "noise.perturbation", Options.number, 0.0),
    Field("ip_noise_gamma_random_strength", "noise.perturbation_random", Options.flag, False),
    Field("min_timestep", "timesteps.first", Options.whole, 0),
    Field("max_timestep", "timesteps.last", _last_timestep, 1000),
    Field("v_parameterization", "timesteps.prediction", _prediction, False),
    Field("zero_terminal_snr", "timesteps.zero_terminal_snr", _zero_snr, False),
    Field("flip_aug", "augment.flip", Options.flag, False),
    Field("shuffle_caption", "captions.shuffle", Options.flag, False),
    Field("keep_tokens", "captions.keep_first", Options.whole, 0),
    Field("keep_tokens_separator", "captions.keep_separator", Options.text, ""),
    Field("caption_dropout_rate", "captions.caption_dropout", Options.number, 0.0),
    Field("caption_tag_dropout_rate", "captions.tag_dropout", Options.number, 0.0),
    Field("enable_wildcard", "captions.wildcards", Options.flag, False),
    Field("clip_skip", "text.clip_skip", Options.whole, 1),
    Field("max_token_length", "text.longest_prompt", Options.whole, 75),
    Field("weighted_captions", "text.weights", Options.flag, False),
    Field("mixed_precision", "precision.training", _precision, "no"),
    Field("save_precision", "precision.saving", _precision, "float"),
    Field("fp8_base", "precision.base", _base, False),
    Field("gradient_checkpointing", "precision.gradient_checkpointing", Options.flag, False),
    Field("validation_split", "validation.held_out_share", _held_out_share, 0.0),
    Field("validation_seed", "validation.seed", Options.whole, 0),
    Field("validate_every_n_epochs", "validation.every_epochs", Options.whole, 1),
    Field("save_every_n_epochs", "saving.every_epochs", Options.whole, 0),
    Field("save_every_n_steps", "saving.every_steps", Options.whole, 0),
    Field("save_last_n_epochs", "saving.keep_last", Options.whole, 0),
)

WITHOUT_EFFECT = frozenset(
    "script config_file dataset_config output_config output_dir logging_dir log_with log_prefix log_tracker_name "
    "log_tracker_config log_config wandb_run_name wandb_api_key metadata_title metadata_author metadata_description "
    "metadata_license metadata_tags training_comment no_metadata xformers sdpa mem_eff_attn torch_compile "
    "dynamo_backend lowram highvram cache_latents cache_latents_to_disk skip_cache_check vae_batch_size "
    "cache_text_encoder_outputs cache_text_encoder_outputs_to_disk text_encoder_batch_size cache_info no_half_vae "
    "disable_mmap_load_safetensors max_data_loader_n_workers persistent_data_loader_workers tokenizer_cache_dir "
    "ddp_timeout ddp_gradient_as_bucket_view ddp_static_graph debug_dataset save_state save_state_on_train_end "
    "save_last_n_epochs_state save_last_n_steps_state use_safetensors save_model_as console_log_level "
    "console_log_file console_log_simple huggingface_token".split()
)
"""Options about speed, logs and places, which do not change what is learned; or which always hold here."""

REASONS = {
    "adaptive_noise_scale": "the noise offset does not follow the picture's brightness; set the noise offset alone",
    "block_dims": "every block has the same rank",
    "caption_dropout_every_n_epochs": "captions are left out by chance only; set captions.caption_dropout",
    "caption_separator": "tags are separated by commas",
    "color_aug": "colours are not changed; vary them in the pictures themselves",
    "conditioning_data_dir": "masks lie beside their pictures, as name-masklabel.png",
    "face_crop_aug_range": "crops are the same at every visit; crop.method focus finds faces",
    "full_bf16": "the LoRA itself is always trained in fp32",
    "full_fp16": "the LoRA itself is always trained in fp32",
    "huber_scale": "the threshold is loss.huber_c alone",
    "in_json": "captions are read from files beside the pictures, or from metadata.jsonl",
    "initial_epoch": "an interrupted run goes on by itself where it stopped",
    "initial_step": "an interrupted run goes on by itself where it stopped",
    "max_validation_steps": "up to 64 noisy pictures are measured each time",
    "metadata_file": "captions are read from files beside the pictures, or from metadata.jsonl",
    "random_crop": "crops are the same at every visit",
    "resize_interpolation": "pictures are always resized in the same way",
    "resume": "an interrupted run goes on by itself; states of sd-scripts cannot be read",
    "sample_every_n_steps": "samples are drawn between epochs; set samples.every_epochs",
    "secondary_separator": "tags are separated by commas only",
    "stop_text_encoder_training": "the text encoders train to the end; lower optimizer.text_encoder_rate",
    "token_warmup_min": "captions are whole from the first step",
    "token_warmup_step": "captions are whole from the first step",
    "validate_every_n_steps": "pictures are measured between epochs; set validation.every_epochs",
    "vae": "the base model's own VAE is used",
}
"""Options without an equivalent: why, or what comes nearest."""


def mapped_fields(options: Options) -> dict[str, Any]:
    """Every row of the table: the field's place in the plan -> its value."""
    return {field.place: field.read(options, field.option, field.default) for field in FIELDS}


def report_what_is_left(options: Options) -> None:
    """Call what nobody has read unsupported, unless it has no effect on what is learned."""
    for name in options.left:
        if name not in WITHOUT_EFFECT:
            because = REASONS.get(name, "there is no such setting here")
            options.unsupported.append(f"{options.shown(name)}: {because}")
