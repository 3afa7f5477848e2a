"""What a LoRA says of itself: kohya's keys and forms, modelspec's, the plan, and nothing of who made it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from safetensors import safe_open

from trainer_core.dataset.types import Dataset, DatasetImage
from trainer_core.errors import TrainingError
from trainer_core.families.sd15 import SD15
from trainer_core.kohya.hashes import base_model_hash
from trainer_core.lora.file import PLAN_KEY, lora_bytes
from trainer_core.training.again import plan_from_lora
from trainer_core.training.metadata import lora_metadata
from trainer_core.training.plan import TrainingPlan
from trainer_core.training.thumbnail import thumbnail

KOHYAS_KEYS = """
    ss_session_id ss_output_name ss_learning_rate ss_text_encoder_lr ss_unet_lr ss_num_train_images
    ss_num_validation_images ss_num_reg_images ss_num_batches_per_epoch ss_num_epochs ss_gradient_checkpointing
    ss_gradient_accumulation_steps ss_max_train_steps ss_lr_warmup_steps ss_lr_scheduler ss_network_module
    ss_network_dim ss_network_alpha ss_network_dropout ss_mixed_precision ss_full_fp16 ss_v2 ss_base_model_version
    ss_clip_skip ss_max_token_length ss_cache_latents ss_seed ss_lowram ss_noise_offset ss_multires_noise_iterations
    ss_multires_noise_discount ss_adaptive_noise_scale ss_zero_terminal_snr ss_training_comment ss_optimizer
    ss_max_grad_norm ss_caption_dropout_rate ss_caption_dropout_every_n_epochs ss_caption_tag_dropout_rate
    ss_face_crop_aug_range ss_prior_loss_weight ss_min_snr_gamma ss_scale_weight_norms ss_ip_noise_gamma
    ss_debiased_estimation ss_noise_offset_random_strength ss_ip_noise_gamma_random_strength ss_loss_type
    ss_huber_schedule ss_huber_scale ss_huber_c ss_fp8_base ss_fp8_base_unet ss_resize_interpolation
    ss_batch_size_per_device ss_total_batch_size ss_resolution ss_color_aug ss_flip_aug ss_random_crop
    ss_shuffle_caption ss_enable_bucket ss_bucket_no_upscale ss_min_bucket_reso ss_max_bucket_reso ss_keep_tokens
    ss_dataset_dirs ss_reg_dataset_dirs ss_tag_frequency ss_bucket_info ss_sd_model_name ss_sd_model_hash
    ss_new_sd_model_hash ss_epoch ss_steps ss_validation_split ss_validation_seed ss_max_validation_steps
    ss_validate_every_n_epochs ss_validate_every_n_steps
""".split()
"""Every key of sd-scripts' train_network.py that a folder of pictures gives, but for times and its own version."""


def picture(name: str, bucket: tuple[int, int], caption: str = "mochi, red hat", **changes) -> DatasetImage:
    fields = {"path": Path("/home/alice/pictures/10_mochi") / name, "width": 640, "height": 480, "caption": caption,
              "caption_source": "a.txt", "repeats": 10, "is_regularisation": False, "fingerprint": name,
              "bucket": bucket}  # fmt: skip
    return DatasetImage(**{**fields, **changes})


DATASET = Dataset(
    images=(
        picture("a.png", (512, 512)),
        picture("b.png", (512, 512), "Mochi, blue hat"),
        picture("c.png", (576, 448)),
        picture(
            "r.png", (512, 512), "cat", repeats=2, is_regularisation=True, path=Path("/home/alice/reg/2_cat/r.png")
        ),
    ),
    trigger_words=("mochi",),
)


@pytest.fixture
def base_model(tmp_path) -> Path:
    path = tmp_path / "home" / "base.safetensors"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)) * 5000)
    return path


def metadata_of(base_model: Path, plan: TrainingPlan, **changes) -> dict[str, str]:
    values = {"name": "mochi", "family": SD15, "prediction_type": "epsilon", "plan": plan, "dataset": DATASET,
              "base_model": base_model, "base_identity": "ab" * 32, "epoch": 2, "step": 60, "total_steps": 90,
              "batches_per_epoch": 30}  # fmt: skip
    return lora_metadata(**values | changes)


def plan_of(**parts) -> TrainingPlan:
    return TrainingPlan.from_json(parts)


def write_lora(path: Path, metadata: dict[str, str], names: tuple[str, ...] = ("lora_unet_x", "lora_te_y")) -> Path:
    tensors = {}
    for name in names:
        tensors |= {f"{name}.lora_down.weight": torch.ones(4, 8), f"{name}.lora_up.weight": torch.ones(8, 4),
                    f"{name}.alpha": torch.tensor(2.0)}  # fmt: skip
    path.write_bytes(lora_bytes(tensors, metadata, torch.float32))
    return path


def test_every_key_of_kohyas_is_there_as_text(base_model):
    metadata = metadata_of(base_model, plan_of(seed=3))
    assert not [key for key in KOHYAS_KEYS if key not in metadata]
    assert all(isinstance(value, str) for value in metadata.values())
    assert not [key for key in metadata if key.startswith("ss_") and key not in (*KOHYAS_KEYS, "ss_network_args")]


@pytest.mark.parametrize(
    ("plan", "key", "value"),
    [
        ({"text": {"clip_skip": 2}}, "ss_clip_skip", "2"),
        ({}, "ss_max_token_length", "None"),
        ({"text": {"longest_prompt": 225}}, "ss_max_token_length", "225"),
        ({}, "ss_noise_offset", "None"),
        ({"noise": {"offset": 0.05}}, "ss_noise_offset", "0.05"),
        ({"batch_size": 3, "accumulation": 2}, "ss_total_batch_size", "6"),
        ({"batch_size": 3, "accumulation": 2}, "ss_batch_size_per_device", "3"),
        ({"weighting": {"debiased": True}}, "ss_debiased_estimation", "True"),
        ({"adapter": {"max_norm": 1}}, "ss_scale_weight_norms", "1.0"),
        ({"schedule": {"name": "wsd"}}, "ss_lr_scheduler", "warmup_stable_decay"),
        ({"optimizer": {"beta1": 0.9, "beta2": 0.99}}, "ss_optimizer",
         "torch.optim.adamw.AdamW(weight_decay=0.01,betas=(0.9, 0.99))"),
        ({}, "ss_network_module", "networks.lora"),
        ({"adapter": {"kind": "loha"}}, "ss_network_module", "lycoris.kohya"),
        ({"optimizer": {"unet_rate": 2e-4}}, "ss_unet_lr", "0.0002"),
        ({}, "ss_resolution", "(512, 512)"),
        ({}, "ss_num_train_images", "30"),
        ({}, "ss_num_reg_images", "2"),
        ({}, "modelspec.resolution", "512x512"),
        ({}, "modelspec.trigger_phrase", "mochi"),
        ({}, "modelspec.prediction_type", "epsilon"),
        ({"timesteps": {"first": 100, "last": 899}}, "modelspec.timestep_range", "100,900"),
        ({}, "modelspec.sai_model_spec", "1.0.1"),
    ],
)  # fmt: skip
def test_a_value_has_kohyas_form(base_model, plan, key, value):
    assert metadata_of(base_model, plan_of(**plan))[key] == value


def test_the_format_that_was_trained_in_is_told_and_not_auto(base_model):
    assert metadata_of(base_model, plan_of(), arithmetic="fp32")["ss_mixed_precision"] == "no"
    assert metadata_of(base_model, plan_of(), arithmetic="bf16")["ss_mixed_precision"] == "bf16"


def test_tables_are_json_of_folder_names_tags_and_buckets(base_model):
    metadata = metadata_of(base_model, plan_of())
    assert json.loads(metadata["ss_dataset_dirs"]) == {"10_mochi": {"n_repeats": 10, "img_count": 3}}
    assert json.loads(metadata["ss_reg_dataset_dirs"]) == {"2_cat": {"n_repeats": 2, "img_count": 1}}
    assert json.loads(metadata["ss_tag_frequency"]) == {"10_mochi": {"mochi": 3, "red hat": 2, "blue hat": 1}}
    buckets = json.loads(metadata["ss_bucket_info"])
    counts = {tuple(b["resolution"]): b["count"] for b in buckets["buckets"].values()}
    assert counts == {(512, 512): 22, (576, 448): 10}
    errors = [abs(1 - 4 / 3)] * 3 + [abs(576 / 448 - 4 / 3)]
    assert buckets["mean_img_ar_error"] == pytest.approx(sum(errors) / 4)


def test_extra_arguments_of_a_network_are_texts(base_model):
    plan = plan_of(
        adapter={"kind": "lokr", "targets": "with convolutions", "lokr_factor": 8}, optimizer={"lora_plus_ratio": 4}
    )
    arguments = json.loads(metadata_of(base_model, plan)["ss_network_args"])
    assert arguments == {"algo": "lokr", "preset": "full", "factor": "8", "conv_dim": "8", "conv_alpha": "4.0",
                         "loraplus_lr_ratio": "4.0"}  # fmt: skip
    assert "ss_network_args" not in metadata_of(base_model, plan_of())


def test_the_base_models_old_hash_is_64_kib_at_1_mib(base_model):
    expected = hashlib.sha256(base_model.read_bytes()[0x100000:0x110000]).hexdigest()[:8]
    assert metadata_of(base_model, plan_of())["ss_sd_model_hash"] == base_model_hash(base_model) == expected


def test_a_base_model_of_many_files_has_no_hash(tmp_path):
    assert "ss_new_sd_model_hash" not in metadata_of(tmp_path, plan_of())


@pytest.mark.parametrize("start", ["/home/alice/loras/first.safetensors", r"C:\Users\alice\loras\first.safetensors"])
def test_nothing_tells_of_paths_or_of_who_made_it(base_model, start):
    plan = plan_of(adapter={"start_from": start, "merge_first": "/home/alice/style.safetensors:0.5"})
    picture_text = thumbnail(Image.new("RGB", (64, 64)))
    metadata = metadata_of(base_model, plan, thumbnail=picture_text)
    for key, value in metadata.items():
        assert "alice" not in value, key
        if key != "modelspec.thumbnail":
            assert not re.search(r"(^|[\s\"'=:;])(/|[A-Za-z]:\\|\\\\|~/)", value), (key, value)
    assert json.loads(metadata[PLAN_KEY])["adapter"]["merge_first"] == "style.safetensors:0.5"


def test_the_same_job_gives_the_same_metadata(base_model):
    first, second, other = (metadata_of(base_model, plan_of(seed=seed)) for seed in (1, 1, 2))
    assert first == second
    assert first["ss_session_id"] != other["ss_session_id"]


@pytest.mark.parametrize("size", [(1024, 1536), (20, 4000), (64, 64)])
def test_a_thumbnail_is_a_small_jpeg_in_a_data_url(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    text = thumbnail(Image.fromarray(noise))
    assert text.startswith("data:image/jpeg;base64,") and len(text) < 66_000
    shown = Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2])))
    assert shown.format == "JPEG" and max(shown.size) <= 256


def kohyas_hashes(tensors: dict, metadata: dict) -> tuple[str, str]:
    """By the letter of sd-scripts' train_util: the file with the ss_ keys only, hashed in its two ways."""
    plain = safetensors.torch.save(tensors, {k: v for k, v in metadata.items() if k.startswith("ss_")})
    length = int.from_bytes(plain[:8], "little")
    whole = hashlib.sha256(plain[8 + length :]).hexdigest()
    return whole, hashlib.sha256(plain[0x100000:0x110000]).hexdigest()[:8]


@pytest.mark.parametrize("floats", [16, 270_000, 400_000])
def test_hashes_are_kohyas(floats, tmp_path):
    tensors = {"a": torch.arange(floats, dtype=torch.float32)}
    metadata = {"ss_seed": "3", "ss_tag_frequency": 'もち "x" \\ \n' * 99, "modelspec.title": "mochi"}
    path = tmp_path / "lora.safetensors"
    path.write_bytes(lora_bytes(tensors, metadata, torch.float32))
    with safe_open(path, "pt") as file:
        found = file.metadata()
    assert (found["sshs_model_hash"], found["sshs_legacy_hash"]) == kohyas_hashes(tensors, metadata)


def test_training_again_gives_the_same_plan(base_model, tmp_path):
    plan = plan_of(
        epochs=7,
        network={"rank": 4, "alpha": 2},
        adapter={"kind": "lora", "dropout": 0.1, "start_from": "/loras/first.safetensors"},
        optimizer={"name": "Lion", "unet_rate": None, "text_encoder_rate": 0.0},
    )
    found, remarks = plan_from_lora(write_lora(tmp_path / "a.safetensors", metadata_of(base_model, plan)))
    expected = plan.to_json()
    expected["adapter"]["start_from"] = "first.safetensors"
    assert found.to_json() == expected
    assert len(remarks) == 1 and "first.safetensors" in remarks[0]


def test_settings_of_a_newer_version_are_left_out_and_told(tmp_path):
    value = {"epochs": 3, "hue": 1, "noise": {"offset": 0.1, "blue": 2}}
    found, remarks = plan_from_lora(write_lora(tmp_path / "a.safetensors", {PLAN_KEY: json.dumps(value)}))
    assert (found.epochs, found.noise.offset) == (3, 0.1)
    assert [remark.split()[0] for remark in remarks] == ["hue", "noise.blue"]


@pytest.mark.parametrize("names", [("lora_unet_x",), ("lora_unet_x", "lora_te_y")])
def test_kohyas_metadata_becomes_the_plan_that_wrote_it(base_model, tmp_path, names):
    plan = plan_of(
        epochs=4,
        batch_size=2,
        seed=9,
        network={"rank": 4, "alpha": 2},
        adapter={"kind": "loha", "targets": "with convolutions", "conv_rank": 2, "conv_alpha": 1, "rank_dropout": 0.1},
        optimizer={"name": "AdamW8bit", "unet_rate": 2e-4, "text_encoder_rate": 5e-5, "weight_decay": 0.1,
                   "beta1": 0.9, "beta2": 0.99, "lora_plus_ratio": 4},
        schedule={"name": "cosine_with_restarts", "warmup_steps": 10},
        noise={"offset": 0.05, "multires_iterations": 6},
        weighting={"min_snr_gamma": 5},
        captions={"shuffle": True, "keep_first": 1, "tag_dropout": 0.1},
        text={"clip_skip": 2, "longest_prompt": 150},
        precision={"training": "bf16", "gradient_checkpointing": True},
    )  # fmt: skip
    metadata = metadata_of(base_model, plan)
    del metadata[PLAN_KEY]
    found, remarks = plan_from_lora(write_lora(tmp_path / "a.safetensors", metadata, names))
    wanted = plan.to_json()
    if len(names) == 1:
        wanted["optimizer"]["text_encoder_rate"] = 0.0
    wanted["schedule"]["cycles"] = 1  # kohya's default: the metadata does not say
    wanted["saving"]["every_epochs"] = 0
    assert found.to_json() == wanted
    assert "kohya" in remarks[0]


@pytest.mark.parametrize("text", ["{", "[]", '{"epochs": 0}', '{"noise": 3}'])
def test_a_damaged_plan_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(TrainingError):
        plan_from_lora(write_lora(tmp_path / "a.safetensors", {PLAN_KEY: text}))


def test_a_lora_that_says_nothing_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="does not say how it was trained"):
        plan_from_lora(write_lora(tmp_path / "a.safetensors", {}))
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="cannot be read"):
        plan_from_lora(tmp_path / "b.safetensors")
