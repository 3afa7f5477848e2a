"""Settings of kohya's sd-scripts become a job that trains the same, and what is lost is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training_jobs import write_pictures
from trainer_core.errors import TrainingError
from trainer_core.job import read_job
from trainer_core.kohya.arguments import read_command
from trainer_core.kohya.importing import KohyaImport, read_kohya
from trainer_core.kohya.mapping import FIELDS, REASONS, WITHOUT_EFFECT
from trainer_core.training.plan import TrainingPlan

COMMAND = "train_network.py --pretrained_model_name_or_path base.safetensors --train_data_dir pictures "


def imported(options: str) -> KohyaImport:
    return read_kohya(COMMAND + options)


def plan_of(options: str) -> dict:
    return TrainingPlan.from_json(imported(options).job["plan"]).to_json()


def at(plan: dict, place: str):
    value = plan
    for name in place.split("."):
        value = value[name]
    return value


# ------------------------------------------------------------------------------------------------------ command lines

ONE_LINE = (
    'train_network.py --network_dim 32 --output_name "red hat" '
    '--optimizer_args "weight_decay=0.1" betas=0.9,0.99 --sdpa'
)


@pytest.mark.parametrize(
    "text",
    [
        ONE_LINE,
        "accelerate launch --num_processes 1 --mixed_precision bf16 " + ONE_LINE,
        "accelerate launch ./sd-scripts/" + ONE_LINE,
        ONE_LINE.replace(" --", " \\\n  --"),
        ONE_LINE.replace(" --", " ^\r\n  --"),
        ONE_LINE.replace(" --", " `\n  --"),
        "#!/bin/bash\n# trains at --network_dim 64\ncd sd-scripts\n" + ONE_LINE + "\necho --done",
        ONE_LINE + " && echo --done",
        ONE_LINE.replace("_dim 32", "_dim=32").replace("--output_name ", "--output_name="),
        ONE_LINE.replace('"', "'"),
    ],
)
def test_a_command_of_any_shell_is_read(text):
    options = read_command(text)
    assert options == {
        "script": "train_network.py",
        "network_dim": "32",
        "output_name": "red hat",
        "optimizer_args": ["weight_decay=0.1", "betas=0.9,0.99"],
        "sdpa": True,
    }


def test_backslashes_of_windows_stay():
    options = read_command(r'python "C:\my scripts\train_network.py" --train_data_dir C:\new\10_cat --vae="D:\x y.pt"')
    assert options["train_data_dir"] == r"C:\new\10_cat"
    assert options["vae"] == r"D:\x y.pt"


def test_options_without_a_script_are_read_over_several_lines():
    assert read_command("--network_dim 8\n--seed 3") == {"network_dim": "8", "seed": "3"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('train_network.py --output_name "a', "quote"),
        ("", "no sd-scripts option"),
        ("missing settings", "no sd-scripts option"),
        ("accelerate launch flux_train_network.py --network_dim 8", "flux_train_network.py trains another kind"),
        (COMMAND + "--network_dim many", "network_dim must be a number, got 'many'"),
        (COMMAND + "--network_dim 4.5", "network_dim must be a whole number"),
        (COMMAND + "--network_dim 0", "rank must be at least 1"),
        (COMMAND + "--learning_rate nan", "learning_rate must be a number"),
        (COMMAND + "--optimizer_args decay", "optimizer_args must be words such as"),
        (COMMAND + "--v2", "Stable Diffusion 2"),
        (COMMAND + "--resolution 500", "multiple of 8"),
        (COMMAND + "--resolution wide", "resolution must be a number"),
        (COMMAND + "--mixed_precision fp8", "must be one of"),
        ("nowhere.toml", "cannot read"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_one_line(text, says):
    with pytest.raises(TrainingError) as refusal:
        read_kohya(text)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


# ------------------------------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("options", "place", "value"),
    [
        ("--max_train_epochs 12", "epochs", 12),
        ("--max_train_epochs 12 --max_train_steps 900", "steps", 0),
        ("--max_train_steps 900", "steps", 900),
        ("", "steps", 1600),
        ("", "network.rank", 4),
        ("", "network.alpha", 1.0),
        ("", "optimizer.learning_rate", 2e-6),
        ("", "optimizer.name", "AdamW"),
        ("", "optimizer.text_encoder_rate", None),
        ("", "schedule.name", "constant"),
        ("", "saving.every_epochs", 0),
        ("", "precision.saving", "fp32"),
        ("--train_batch_size=4", "batch_size", 4),
        ("--gradient_accumulation_steps 2", "accumulation", 2),
        ("--text_encoder_lr 5e-5", "optimizer.text_encoder_rate", 5e-5),
        ("--unet_lr 2e-4", "optimizer.unet_rate", 2e-4),
        ("--text_encoder_lr 5e-5 --network_train_unet_only", "optimizer.text_encoder_rate", 0.0),
        ("--network_train_text_encoder_only", "optimizer.unet_rate", 0.0),
        ("--use_8bit_adam", "optimizer.name", "AdamW8bit"),
        ("--optimizer_type PagedAdamW8bit", "optimizer.name", "AdamW8bit"),
        ("--optimizer_type lion", "optimizer.weight_decay", 0.0),
        ("--optimizer_type AdamW", "optimizer.weight_decay", 0.01),
        ("--optimizer_type DAdaptAdam", "optimizer.name", "Prodigy"),
        ("--optimizer_type pytorch_optimizer.CAME", "optimizer.name", "CAME"),
        ("--optimizer_args betas=(0.9,0.99)", "optimizer.beta2", 0.99),
        ("--optimizer_type Prodigy", "optimizer.prodigy_bias_correction", False),
        ("--optimizer_type Prodigy --optimizer_args d_coef=2 use_bias_correction=True",
         "optimizer.prodigy_bias_correction", True),
        ("--optimizer_type Prodigy --optimizer_args d_coef=2", "optimizer.prodigy_d_coef", 2.0),
        ("--optimizer_type Prodigy --unet_lr 1 --text_encoder_lr 0.5", "optimizer.text_encoder_rate", 1.0),
        ("--network_args loraplus_lr_ratio=8", "optimizer.lora_plus_ratio", 8.0),
        ("--lr_scheduler cosine_with_restarts --lr_scheduler_num_cycles 3", "schedule.cycles", 3),
        ("--lr_scheduler constant_with_warmup --lr_warmup_steps 50", "schedule.warmup_steps", 50),
        ("--max_train_steps 1000 --lr_warmup_steps 0.1", "schedule.warmup_steps", 100),
        ("--max_train_steps 1000 --lr_warmup_steps 5%", "schedule.warmup_steps", 50),
        ("--max_train_steps 1000 --lr_scheduler warmup_stable_decay --lr_decay_steps 250", "schedule.decay_share",
         0.25),
        ("--lr_scheduler cosine_with_min_lr --lr_scheduler_min_lr_ratio 0.1", "schedule.floor", 0.1),
        ("--lr_scheduler_type LoraEasyCustomOptimizer.RexAnnealingWarmRestarts.RexAnnealing", "schedule.name", "rex"),
        ("--max_timestep 900", "timesteps.last", 899),
        ("--min_timestep 100", "timesteps.first", 100),
        ("--v_parameterization", "timesteps.prediction", "v_prediction"),
        ("--zero_terminal_snr --v_parameterization", "timesteps.zero_terminal_snr", "on"),
        ("--min_snr_gamma 5", "weighting.min_snr_gamma", 5.0),
        ("--multires_noise_iterations 6 --multires_noise_discount 0.8", "noise.multires_discount", 0.8),
        ("--ip_noise_gamma 0.1", "noise.perturbation", 0.1),
        ("--loss_type huber --huber_c 0.2", "loss.kind", "huber"),
        ("--loss_type l1", "loss.kind", "l2"),
        ("--alpha_mask", "loss.masked", True),
        ("--shuffle_caption --keep_tokens 2", "captions.keep_first", 2),
        ("--keep_tokens_separator |||", "captions.keep_separator", "|||"),
        ("--max_token_length 225", "text.longest_prompt", 225),
        ("--clip_skip 2", "text.clip_skip", 2),
        ("--mixed_precision bf16", "precision.training", "bf16"),
        ("--save_precision fp16", "precision.saving", "fp16"),
        ("--fp8_base", "precision.base", "fp8"),
        ("--fp8_base_unet", "precision.base", "fp8"),
        ("--mixed_precision bf16", "precision.base", "full"),
        ("--save_every_n_steps 100 --save_last_n_steps 500", "saving.keep_last", 5),
        ("--max_train_epochs 10 --save_n_epoch_ratio 5", "saving.every_epochs", 2),
        ("--scale_weight_norms 1", "adapter.max_norm", 1.0),
        ("--network_weights a.safetensors", "adapter.start_from", "a.safetensors"),
        ("--base_weights a.safetensors b.safetensors --base_weights_multiplier 0.5", "adapter.merge_first",
         "a.safetensors:0.5; b.safetensors:1"),
        ("--network_args conv_dim=8 conv_alpha=4", "adapter.targets", "with convolutions"),
        ("--network_args conv_dim=8", "adapter.conv_alpha", 1.0),
        ("--network_dim 16", "adapter.targets", "attention and mlp"),
        ("--network_dropout 0.1", "adapter.dropout", 0.1),
        ("--network_args rank_dropout=0.2", "adapter.rank_dropout", 0.2),
        ("--network_args down_lr_weight=0,0,0,0,0,0,1,1,1,1,1,1 mid_lr_weight=1", "adapter.block_weights",
         "down_lr_weight=0,0,0,0,0,0,1,1,1,1,1,1 mid_lr_weight=1"),
        ("--network_module lycoris.kohya --network_args algo=loha", "adapter.kind", "loha"),
        ("--network_module lycoris.kohya --network_dim 8 --network_args algo=loha", "adapter.conv_rank", 8),
        ("--network_module lycoris.kohya --network_args algo=lokr factor=8", "adapter.lokr_factor", 8),
        ("--network_module lycoris.kohya --network_args algo=lokr factor=-1", "adapter.lokr_factor", 0),
        ("--network_module lycoris.kohya --network_args preset=attn-only", "adapter.targets", "attention"),
        ("--network_module lycoris.kohya --network_args algo=locon conv_dim=0", "adapter.targets", "attention and mlp"),
        ("--network_module lycoris.kohya --network_args algo=lora dora_wd=True", "adapter.kind", "dora"),
        ("--network_module networks.oft", "adapter.kind", "oft"),
        ("--network_dim 16 --network_alpha 0", "network.alpha", 16.0),
    ],
)  # fmt: skip
def test_an_option_becomes_its_field(options, place, value):
    assert at(plan_of(options), place) == value


def test_every_row_of_the_table_reaches_a_field_of_the_plan_and_changes_it():
    defaults = TrainingPlan().to_json()
    for field in FIELDS:
        at(defaults, field.place)
    assert len({field.option for field in FIELDS}) == len({field.place for field in FIELDS}) == len(FIELDS)


def test_validation_is_taken_over_as_far_as_it_goes_here():
    plan = plan_of("--validation_split 0.1 --validation_seed 5 --validate_every_n_epochs 3")
    assert plan["validation"] | {"held_out_share": 0.1, "seed": 5, "every_epochs": 3} == plan["validation"]
    found = imported("--validation_split 0.8")
    assert found.job["plan"]["validation"]["held_out_share"] == 0.5
    assert any("validation_split 0.8: at most 0.5" in note for note in found.notes)


def test_no_option_is_both_known_and_without_effect():
    known = {field.option for field in FIELDS}
    assert not known & WITHOUT_EFFECT and not known & REASONS.keys() and not REASONS.keys() & WITHOUT_EFFECT


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--random_crop", "random_crop: crops are the same at every visit"),
        ("--caption_dropout_every_n_epochs 2", "caption_dropout_every_n_epochs 2: captions are left out by chance"),
        ("--flow_shift 3.0", "flow_shift 3.0: there is no such setting here"),
        ("--optimizer_type SGDNesterov", "optimizer_type SGDNesterov: AdamW is nearest"),
        ("--optimizer_args momentum=0.9", "optimizer_args momentum=0.9"),
        ("--lr_scheduler piecewise_constant", "lr_scheduler piecewise_constant"),
        ("--network_args block_dims=1,2", "network_args block_dims=1,2"),
        ("--network_args down_lr_weight=cosine", "network_args down_lr_weight=cosine: only lists of numbers"),
        ("--network_module my.module", "network_module my.module: lora is nearest"),
        ("--max_train_epochs 5 --lr_warmup_steps 0.1", "lr_warmup_steps 0.1: a share of the run"),
        ("--caption_extension .tags", "caption_extension .tags"),
        ("--vae vae.pt", "vae vae.pt: the base model's own VAE is used"),
        ("--full_bf16", "full_bf16: the LoRA itself is always trained in fp32"),
    ],
)
def test_what_has_no_equivalent_is_told(options, says):
    assert [line for line in imported(options).unsupported if line.startswith(says)]


@pytest.mark.parametrize("options", ["--xformers --cache_latents", "--random_crop false", "--adaptive_noise_scale 0"])
def test_what_changes_nothing_is_not_told(options):
    assert imported(options).unsupported == ()


def test_guesses_and_defaults_are_told():
    notes = " / ".join(imported("").notes)
    for text in ("network_dim 4, network_alpha 1.0, learning_rate 2e-06", "no seed", "512x512", ".txt counts"):
        assert text in notes
    assert "network_dim" not in " / ".join(imported("--network_dim 8").notes)


# ------------------------------------------------------------------------------------------------------- pictures, job


def test_sizes_and_buckets_become_the_crop():
    crop = imported("--resolution 512,768 --enable_bucket --min_bucket_reso 320 --bucket_reso_steps 32").job["crop"]
    assert crop == {"size": "512x768", "method": "center", "buckets": True, "enlarge": True, "bucket_step": 32,
                    "smallest_bucket_side": 320, "largest_bucket_side": 1024}  # fmt: skip
    free = imported("--resolution 1024 --enable_bucket --bucket_no_upscale --max_bucket_reso 2048")
    assert free.job["crop"] == {"size": "1024x1024", "method": "center", "buckets": True, "enlarge": False}
    assert any("sizes differ a little" in note for note in free.notes), "sd-scripts then keep to no limit"
    assert any("beyond 1024" in note for note in imported("--resolution 1024 --enable_bucket").notes)
    assert imported("--resolution 768 --bucket_no_upscale").job["crop"] == {
        "size": "768x768", "method": "center", "buckets": False, "enlarge": True
    }, "without buckets sd-scripts enlarge all the same"  # fmt: skip


def test_lines_of_captions_are_picked_where_sd_scripts_pick_them():
    picked = imported("--train_data_dir set --enable_wildcard")
    assert picked.job["dataset"]["reading"] == {"caption_lines": "pick"}
    joined = imported("--train_data_dir set")
    assert "reading" not in joined.job["dataset"]
    assert any("the first line alone" in note for note in joined.notes)
    assert any("read with all that lies in it" in note for note in joined.notes)


def test_a_quoted_word_with_spaces_is_one_word():
    plan = imported('--base_weights "/my loras/a b.safetensors" --optimizer_args "betas=(0.9, 0.95)"').job["plan"]
    assert plan["adapter"]["merge_first"] == "/my loras/a b.safetensors:1"
    assert plan["optimizer"]["beta2"] == 0.95


def test_sdxls_script_is_known_by_its_size():
    assert read_kohya("sdxl_train_network.py --network_dim 8").job["crop"]["size"] == "1024x1024"


def test_a_prefix_becomes_the_trigger_word():
    job = imported('--caption_prefix "mochi," --caption_suffix "art, ink"').job
    assert job["captions"] == {"trigger_word": "mochi", "add_tags": ["art", "ink"]}


def test_the_job_is_a_job_file_that_trains(tmp_path):
    write_pictures(tmp_path / "set" / "3_mochi")
    (tmp_path / "base.safetensors").touch()
    text = (
        "train_network.py --pretrained_model_name_or_path base.safetensors --train_data_dir set --output_name mochi "
        "--network_dim 8 --resolution 64 --caption_prefix mochi --shuffle_caption"
    )
    (tmp_path / "job.json").write_text(json.dumps(read_kohya(text).job))
    job = read_job(tmp_path / "job.json")
    assert (job.name, job.plan.network.rank, job.plan.captions.shuffle) == ("mochi", 8, True)
    assert {image.repeats for image in job.dataset.images} == {3}
    assert job.dataset.trigger_words == ("mochi",)


# --------------------------------------------------------------------------------------------------------------- files


def test_a_config_file_is_read_and_the_command_line_comes_first(tmp_path):
    (tmp_path / "settings.toml").write_text(
        '[model]\npretrained_model_name_or_path = "base.safetensors"\n[network]\nnetwork_dim = 16\nnetwork_alpha = 8\n'
        'optimizer_args = ["weight_decay=0.2"]\nxformers = true\nrandom_crop = false\n'
    )
    alone = read_kohya(tmp_path / "settings.toml")
    assert alone.job["plan"]["network"] == {"rank": 16, "alpha": 8.0}
    assert (alone.job["base_model"], alone.unsupported) == ("base.safetensors", ())
    named = read_kohya(f"train_network.py --config_file {tmp_path / 'settings'} --network_dim 4")
    assert named.job["plan"]["network"] == {"rank": 4, "alpha": 8.0}
    assert named.job["plan"]["optimizer"]["weight_decay"] == 0.2


DATASET_CONFIG = """
[general]
shuffle_caption = true
caption_extension = ".txt"
[[datasets]]
resolution = [512, 768]
batch_size = 3
keep_tokens = 1
  [[datasets.subsets]]
  image_dir = "faces"
  num_repeats = 10
  [[datasets.subsets]]
  image_dir = 'C:\\sets\\5_bodies'
  num_repeats = 4
  class_tokens = "mochi cat"
  flip_aug = true
  [[datasets.subsets]]
  image_dir = "people"
  is_reg = true
"""


def test_a_dataset_config_gives_folders_and_what_they_share(tmp_path):
    (tmp_path / "set.toml").write_text(DATASET_CONFIG)
    (tmp_path / "run.sh").write_text(
        "accelerate launch train_network.py --dataset_config set.toml --network_dim 8 \\\n --seed 1"
    )
    found = read_kohya(tmp_path / "run.sh")
    assert found.job["dataset"] == [
        {"folder": "faces", "repeats": 10, "regularisation": "people", "regularisation_repeats": 1},
        {"folder": r"C:\sets\5_bodies", "repeats": 4},
    ]
    assert found.job["crop"]["size"] == "512x768"
    assert found.job["plan"]["batch_size"] == 3
    assert found.job["plan"]["captions"]["keep_first"] == 1
    assert found.job["plan"]["captions"]["shuffle"] is True
    assert any("flip_aug True of C:" in line for line in found.unsupported)
    assert any("5_bodies sets 5 repeats here, not 4" in line for line in found.notes)
    assert any("class_tokens 'mochi cat'" in line for line in found.notes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = [", "not valid TOML"),
        ("[[datasets]]\nresolution = 512", "has no subsets"),
        ("datasets = []", "has no datasets"),
        (f"dataset_config = '{'x' * 5000}'", "cannot read x"),
        ('[[datasets]]\n[[datasets.subsets]]\nmetadata_file = "m.json"', "has no image_dir"),
        ('[[datasets]]\n[[datasets.subsets]]\nimage_dir = "a"\nnum_repeats = 0', "num_repeats must be"),
        ("datasets = [3]", "must be a table"),
    ],
)
def test_a_broken_toml_is_refused_in_one_line(tmp_path, text, says):
    (tmp_path / "set.toml").write_text(text)
    with pytest.raises(TrainingError, match=says):
        read_kohya(tmp_path / "set.toml")


GUI = {
    "LoRA_type": "LyCORIS/LoHa", "LyCORIS_preset": "attn-mlp", "sdxl": True, "epoch": 8, "max_train_steps": 0,
    "max_train_epochs": 0, "lr_warmup": 10, "lr_warmup_steps": 0, "network_dim": 8, "network_alpha": 4, "conv_dim": 1,
    "optimizer": "Prodigy", "optimizer_args": "d_coef=2 weight_decay=0.01", "learning_rate": 1, "unet_lr": 1,
    "text_encoder_lr": 0, "max_resolution": "1024,1024", "train_data_dir": "pictures", "output_name": "mochi",
    "pretrained_model_name_or_path": "xl.safetensors", "noise_offset_type": "Multires", "noise_offset": 0.05,
    "multires_noise_iterations": 8, "multires_noise_discount": 0.3, "seed": 7, "min_snr_gamma": 5, "color_aug": False,
    "shuffle_caption": True, "network_dropout": 0, "keep_tokens": "0", "vae": "", "num_processes": 1,
    "additional_parameters": "--network_train_unet_only --random_crop", "mixed_precision": "bf16",
    "lora_network_weights": "", "scale_weight_norms": 0, "xformers": "sdpa", "stop_text_encoder_training": 0,
}  # fmt: skip


def test_a_setting_of_the_gui_is_read(tmp_path):
    (tmp_path / "gui.json").write_text(json.dumps(GUI))
    found = read_kohya(str(tmp_path / "gui.json"))
    plan = TrainingPlan.from_json(found.job["plan"]).to_json()
    expected = {
        "epochs": 8, "steps": 0, "adapter.kind": "loha", "adapter.targets": "attention and mlp", "network.rank": 8,
        "optimizer.name": "Prodigy", "optimizer.prodigy_d_coef": 2.0, "optimizer.unet_rate": 1.0, "seed": 7,
        "optimizer.text_encoder_rate": 0.0, "noise.offset": 0.0, "noise.multires_iterations": 8,
        "captions.shuffle": True, "precision.training": "bf16", "weighting.min_snr_gamma": 5.0,
    }  # fmt: skip
    assert {place: at(plan, place) for place in expected} == expected
    assert found.job["crop"]["size"] == "1024x1024"
    assert [line.split(":")[0] for line in found.unsupported] == ["lr_warmup_steps 10%", "random_crop"]


@pytest.mark.parametrize(
    ("unet", "text", "rates"), [(1e-4, 0, (1e-4, 0.0)), (0, 5e-5, (0.0, 5e-5)), (1e-4, 5e-5, (1e-4, 5e-5))]
)
def test_the_gui_trains_a_part_alone_where_only_that_has_a_rate(tmp_path, unet, text, rates):
    value = {"LoRA_type": "Standard", "learning_rate": 2e-4, "unet_lr": unet, "text_encoder_lr": text, "epoch": 6,
             "lr_scheduler": "cosine_with_restarts", "lr_scheduler_num_cycles": ""}  # fmt: skip
    (tmp_path / "gui.json").write_text(json.dumps(value))
    plan = TrainingPlan.from_json(read_kohya(str(tmp_path / "gui.json")).job["plan"])
    assert (plan.optimizer.rate_of_unet, plan.optimizer.rate_of_text_encoder) == pytest.approx(rates)
    assert plan.schedule.cycles == 6, "the GUI's epochs, where no cycles are set"


@pytest.mark.parametrize("value", [[], {"base_model": "a", "dataset": {}}, {"LoRA_type": "Flux1"}])
def test_another_json_is_refused_in_one_line(tmp_path, value):
    (tmp_path / "gui.json").write_text(json.dumps(value))
    with pytest.raises(TrainingError):
        read_kohya(Path(tmp_path / "gui.json"))
