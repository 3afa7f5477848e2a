"""ComfyUI's own loader gives our base models and LoRAs the same outputs as the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.server import run_script

ADAPTERS = [
    "lora",
    "lora, attention",
    "lora, rank-stabilised",
    "lora, convolutions",
    "dora, convolutions",
    "loha, convolutions",
    "oft, convolutions",
    "lokr, convolutions",
    "lokr, factor 2",
]
SCRIPT = Path(__file__).with_name("compare_with_comfyui.py")


@pytest.fixture(scope="module")
def report(installation, tmp_path_factory) -> dict:
    return run_script(installation, SCRIPT, tmp_path_factory.mktemp("compared"))


@pytest.fixture(params=["sd15", "sdxl"])
def family(request, report) -> dict:
    return report[request.param]


def test_comfyui_takes_the_checkpoint_for_its_family(family):
    assert family["detected"] in ("TinySD15", "TinySDXL")


def test_base_outputs_are_equal_without_a_lora(family):
    assert family["base_errors"] and max(family["base_errors"].values()) < 1e-4, family["base_errors"]


def test_every_name_is_matched_without_a_warning(family):
    assert family["warnings"] == []


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_weight_is_changed(family, name):
    adapter = family["adapters"][name]
    assert adapter["patches"] == adapter["changed"] == adapter["targets"] > 0


@pytest.mark.parametrize("name", ADAPTERS)
def test_outputs_with_the_lora_are_equal_and_far_from_the_base(family, name):
    adapter = family["adapters"][name]
    assert set(adapter["errors"]) == set(family["base_errors"])
    assert max(adapter["errors"].values()) < 1e-4, adapter["errors"]
    assert min(adapter["effects"][output] for output in adapter["errors"]) > 0.02, adapter["effects"]


def test_every_kind_text_unet_and_sdxls_pooled_text_were_compared(report):
    assert set(report["sd15"]["base_errors"]) == {"unet", "text 1", "text 2"}
    assert set(report["sdxl"]["base_errors"]) == {"unet", "text 2", "pooled"}
    assert set(report["sd15"]["adapters"]) == set(report["sdxl"]["adapters"]) == set(ADAPTERS)
