"""Prompts of every length and with weights are encoded as ComfyUI's own CLIP Text Encode does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.server import run_script

SCRIPT = Path(__file__).with_name("compare_text_with_comfyui.py")


@pytest.fixture(scope="module")
def report(installation, tmp_path_factory) -> dict:
    return run_script(installation, SCRIPT, tmp_path_factory.mktemp("compared"))


@pytest.fixture(params=["sd15", "sdxl"])
def family(request, report) -> dict:
    return report[request.param]


def test_prompts_become_comfyuis_chunks_tokens_and_weights(family):
    assert family["prompts"] > 240 and family["wrong_tokens"] == []


@pytest.mark.parametrize(
    "kind",
    [
        "short", "long", "commas at the edge", "weights", "nested brackets", "escaped brackets",
        "brackets without a partner", "long and weighted", "random",
    ],
)  # fmt: skip
def test_conditioning_is_comfyuis_to_float_rounding(family, kind):
    errors = {name: error for name, error in family["errors"].items() if name.startswith(f"{kind}, ")}
    assert len(errors) >= 2 and max(errors.values()) < 5e-6, errors
    assert family["effect_of_a_weight"] > 0.01, "else the weights would not show"


def test_every_layer_was_compared(report):
    layers = {family: {name.split("layer ")[1] for name in report[family]["errors"]} for family in report}
    assert layers == {"sd15": {"None", "-1", "-2"}, "sdxl": {"None", "-2"}}


def test_prompts_of_several_lengths_make_one_batch_as_in_comfyuis_sampler(family):
    assert family["has_same_batch"]
