"""ComfyUI's own loader gives our base models and LoRAs the same outputs as the trainer."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("compare_with_comfyui.py")


@pytest.fixture(scope="module")
def report(installation, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("compared")
    environment = {**os.environ, "COMFYUI_DIR": str(installation.folder), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [installation.python, SCRIPT, folder], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.strip().splitlines()[-1])


@pytest.fixture(params=["sd15", "sdxl"])
def family(request, report) -> dict:
    return report[request.param]


def test_comfyui_takes_the_checkpoint_for_its_family(family):
    assert family["detected"] in ("TinySD15", "TinySDXL")


def test_base_outputs_are_equal_without_a_lora(family):
    assert family["base_errors"] and max(family["base_errors"].values()) < 1e-4, family["base_errors"]


def test_every_name_in_the_lora_is_matched_and_every_weight_changed(family):
    assert family["warnings"] == []
    assert family["patches"] == family["changed"] == family["targets"] > 0


def test_outputs_with_the_lora_are_equal_and_far_from_the_base(family):
    assert set(family["lora_errors"]) == set(family["base_errors"])
    assert max(family["lora_errors"].values()) < 1e-4, family["lora_errors"]
    assert min(family["effects"][name] for name in family["lora_errors"]) > 0.02, family["effects"]


def test_text_unet_and_sdxls_pooled_text_were_all_compared(report):
    assert set(report["sd15"]["lora_errors"]) == {"unet", "text 1", "text 2"}
    assert set(report["sdxl"]["lora_errors"]) == {"unet", "text 2", "pooled"}


def test_prompts_become_comfyuis_tokens(report):
    assert report["prompts"] >= 13 and report["wrong_tokens"] == []
