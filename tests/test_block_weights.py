"""Block weights: how they are written, which layers they name, and that 0 means no adapter."""

from __future__ import annotations

import pytest
import torch

from tests.full_size_models import full_size
from tests.tiny_models import tiny_sd15
from trainer_core.errors import TrainingError
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.block_weights import read_block_weights
from trainer_core.lora.names import targets_of

SD15_LIST = [0.0] * 4 + [0.5] * 8 + [0.7] + [1.0] * 6 + [2.0] * 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("IN00=0.5, MID=1, OUT03-05=0", {"IN00": 0.5, "MID": 1.0, "OUT03": 0.0, "OUT04": 0.0, "OUT05": 0.0}),
        ("in4 = .5; mid=0\nout11=2", {"IN04": 0.5, "MID": 0.0, "OUT11": 2.0}),
        ("mid_lr_weight=0.3", {"MID": 0.3}),
        ("up_lr_weight=0,1,2 MID=0", {"OUT00": 0.0, "OUT01": 1.0, "OUT02": 2.0, "MID": 0.0}),
        ("down_lr_weight=1,.5,0", {"IN00": 1.0, "IN01": 0.5, "IN02": 0.0}),
        ("1, 2, 3, 4, 5", {"IN00": 1.0, "IN01": 2.0, "MID": 3.0, "OUT00": 4.0, "OUT01": 5.0}),
    ],
)
def test_weights_are_read_as_written(text, expected):
    weights = read_block_weights(text)
    assert weights.factors == expected
    assert weights.factor("OUT08") == 1 and weights.factor("") == 1


@pytest.mark.parametrize(
    "text",
    [
        "IN04", "IN4=x", "IN04=nan", "IN04=-1", "IN04=1e9", "IN04=1,2", "ON04=1", "IN=1", "IN05-03=1", "IN03-05",
        "MID=1 MID=1", "IN03-05=1, IN04=0", "1,2", "down_lr_weight=cosine", "0.5 IN04=1 0.5", "=1 2 3", "IN004=1",
    ],
)  # fmt: skip
def test_weights_that_cannot_be_understood_are_refused_in_one_line(text):
    with pytest.raises(TrainingError) as refusal:
        weights = read_block_weights(text)
        weights.check_fits(12)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("family", "text", "words"),
    [
        ("sd15", "OUT12=1", "IN00-IN11, MID and OUT00-OUT11"),
        ("sdxl", "IN09=1", "IN00-IN08, MID and OUT00-OUT08"),
        ("sdxl", ",".join(map(str, SD15_LIST)), "Give 9 numbers for a side, or 19 in all"),
        ("sd15", ",".join(["1"] * 19), "Give 12 numbers for a side, or 25 in all"),
        ("sd15", "up_lr_weight=1,1,1", "3 numbers"),
        ("sd15", "IN00-11=0 MID=0 OUT00-11=0", "no block of the UNet"),
    ],
)
def test_weights_of_another_unet_or_of_nothing_are_refused(family, text, words):
    with pytest.raises(TrainingError, match=words):
        targets_of(full_size(family), "attention and mlp", read_block_weights(text))


@pytest.mark.parametrize(
    ("family", "name", "block"),
    [
        ("sd15", "lora_unet_down_blocks_0_attentions_0_proj_in", "IN01"),
        ("sd15", "lora_unet_down_blocks_0_downsamplers_0_conv", "IN03"),
        ("sd15", "lora_unet_down_blocks_2_attentions_1_transformer_blocks_0_attn1_to_q", "IN08"),
        ("sd15", "lora_unet_down_blocks_3_resnets_1_conv2", "IN11"),
        ("sd15", "lora_unet_mid_block_resnets_1_conv1", "MID"),
        ("sd15", "lora_unet_up_blocks_0_upsamplers_0_conv", "OUT02"),
        ("sd15", "lora_unet_up_blocks_1_attentions_0_proj_out", "OUT03"),
        ("sd15", "lora_unet_up_blocks_3_attentions_2_proj_out", "OUT11"),
        ("sdxl", "lora_unet_input_blocks_4_1_proj_in", "IN04"),
        ("sdxl", "lora_unet_middle_block_1_proj_in", "MID"),
        ("sdxl", "lora_unet_output_blocks_5_2_conv", "OUT05"),
        ("sdxl", "lora_te2_text_model_encoder_layers_3_mlp_fc1", ""),
    ],
)
def test_layers_belong_to_kohyas_blocks(family, name, block):
    found = {t.name: t.block for _, targets in targets_of(full_size(family), "with convolutions") for t in targets}
    assert found[name] == block


def test_a_list_gives_each_block_its_factor_and_0_no_adapter():
    parts = targets_of(full_size("sd15"), "with convolutions", read_block_weights(",".join(map(str, SD15_LIST))))
    names = [f"IN{i:02d}" for i in range(12)] + ["MID"] + [f"OUT{i:02d}" for i in range(12)]
    expected = dict(zip(names, SD15_LIST, strict=True))
    assert {target.block for target in parts[0][1]} == {name for name in names if expected[name]}
    assert all(target.rate_factor == expected[target.block] for target in parts[0][1])
    assert all(target.rate_factor == 1 for target in parts[1][1])
    assert len(parts[1][1]) == 72


def test_a_block_of_weight_0_is_no_part_of_the_lora_and_others_keep_their_order():
    model = tiny_sd15()
    whole = targets_of(model)[0][1]
    module, targets = targets_of(model, "attention and mlp", read_block_weights("MID=0 IN01=0.5"))[0]
    adapters = Adapters(module, targets, 4, 2.0)
    adapters.initialise(0)
    assert [t.name for t in targets] == [t.name for t in whole if t.block != "MID"]
    assert not any("mid_block" in name for name in adapters.tensors())
    assert {group.rate_factor for group in adapters.parameter_groups()} == {0.5, 1.0}
    assert not any("lora_" in name for name, _ in model.unet.mid_block.named_parameters())
    assert torch.equal(adapters.tensors()[f"{targets[0].name}.alpha"], torch.tensor(2.0))
