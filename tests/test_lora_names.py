"""Targets and sizes of real models' LoRAs, as kohya's trainer has them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.full_size_models import full_size
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import lora_bytes
from trainer_core.lora.names import known_modules, targets_of


@pytest.mark.parametrize(
    ("family", "counts", "mebibytes", "of_unet"),
    [
        ("sd15", [192, 72], {32: 36.1, 64: 72.1, 128: 144.1}, {}),
        ("sdxl", [722, 72, 192], {8: 54.8, 16: 109.1, 32: 217.9}, {8: 40.9, 16: 81.5, 32: 162.7}),
    ],
)
def test_full_size_targets_and_file_sizes_are_kohyas(family, counts, mebibytes, of_unet):
    found = targets_of(full_size(family))
    assert [len(targets) for _, targets in found] == counts
    names = [target.name for _, targets in found for target in targets]
    assert len(set(names)) == len(names)
    values, headers = [], []
    for module, targets in found:
        for target in targets:
            layer = module.get_submodule(target.module)
            is_pointwise = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)
            assert isinstance(layer, nn.Linear) or is_pointwise, target
        values.append(sum(p.numel() for p in Adapters(module, targets, 1, 1.0).parameters()))
        ends = ("lora_down.weight", "lora_up.weight", "alpha")
        empty = {f"{target.name}.{end}": torch.zeros(()) for target in targets for end in ends}
        headers.append(len(lora_bytes(empty, {}, torch.float16)))
    for rank, size in mebibytes.items():
        assert (2 * rank * sum(values) + sum(headers)) / 2**20 == pytest.approx(size, abs=0.2)
    for rank, size in of_unet.items():
        assert (2 * rank * values[0] + headers[0]) / 2**20 == pytest.approx(size, abs=0.2)


@pytest.mark.parametrize(
    ("family", "attention", "convolutions"), [("sd15", [128, 48], [278, 72]), ("sdxl", [560, 48, 128], [788, 72, 192])]
)
def test_the_other_sets_of_targets_have_kohyas_and_diffusers_numbers_of_modules(family, attention, convolutions):
    model = full_size(family)
    for targets, counts in (("attention", attention), ("with convolutions", convolutions)):
        found = targets_of(model, targets)
        assert [len(part) for _, part in found] == counts
        names = [target.name for _, part in found for target in part]
        assert len(set(names)) == len(names)
    assert not any(target.module in ("conv_in", "conv_out") for target in found[0][1])


def test_every_target_is_among_the_names_that_are_read():
    for family in ("sd15", "sdxl"):
        model = full_size(family)
        for (_, known), (_, targets) in zip(known_modules(model), targets_of(model, "with convolutions"), strict=True):
            assert all(known[target.name] == target.module for target in targets)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("sd15", ["lora_unet_down_blocks_0_attentions_0_proj_in",
                  "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0",
                  "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_ff_net_0_proj",
                  "lora_te_text_model_encoder_layers_11_self_attn_out_proj"]),
        ("sdxl", ["lora_unet_input_blocks_4_1_proj_in",
                  "lora_unet_middle_block_1_transformer_blocks_9_attn2_to_k",
                  "lora_unet_output_blocks_5_1_transformer_blocks_1_ff_net_2",
                  "lora_te1_text_model_encoder_layers_0_mlp_fc1",
                  "lora_te2_text_model_encoder_layers_31_self_attn_q_proj"]),
        ("sd15", ["lora_unet_down_blocks_0_resnets_0_time_emb_proj",
                  "lora_unet_down_blocks_1_resnets_0_conv_shortcut",
                  "lora_unet_up_blocks_2_upsamplers_0_conv"]),
        ("sdxl", ["lora_unet_input_blocks_3_0_op",
                  "lora_unet_input_blocks_4_0_skip_connection",
                  "lora_unet_middle_block_0_emb_layers_1",
                  "lora_unet_output_blocks_8_0_out_layers_3"]),
    ],
)  # fmt: skip
def test_names_as_kohya_writes_them_are_among_the_targets(family, names):
    found = targets_of(full_size(family), "with convolutions")
    assert set(names) <= {target.name for _, targets in found for target in targets}
