"""What takes longest is started first, so that at the end no worker is left alone with it."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TRITON_INTERPRET", "1")  # a GPU's kernels on a CPU; read when Triton is imported

_LONGEST_FIRST = (
    "test_demo.py", "test_parallel.py", "test_memory.py", "test_trainer.py", "test_resume_in_the_loop.py",
    "test_judged_runs.py", "test_amount.py", "test_quantised.py", "test_compiling.py", "test_offloading.py",
    "test_samples_in_runs.py", "test_encoding_memory.py", "test_scan.py", "test_crop_quality.py", "test_sampling.py",
    # in ComfyUI
    "test_host_templates.py", "test_restart_page.py", "test_host_training.py", "test_training_page.py",
    "test_health_card.py", "test_host_devices.py", "test_host_runs.py", "test_crop_page.py", "test_errors_page.py",
    "test_host_arithmetic.py", "test_runs_page.py", "test_tag_editor.py", "test_templates_page.py",
)  # fmt: skip
"""The few files that take more than some seconds; `make test` and `make test-host` hand out whole files, in the order
of their tests."""


@pytest.fixture(params=["oneDNN", "MKL"])
def multiplied_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library that multiplies fp32 matrices on a CPU, whichever is the faster one here; with oneDNN, attention is
    ours."""
    monkeypatch.setattr("trainer_core.families.cpu.matrices.MKL_IS_WHOLE", request.param == "MKL")
    monkeypatch.setattr("trainer_core.families.cpu.matrices._PLACES_FOR_MKL", 1)
    monkeypatch.setattr("trainer_core.families.cpu.matrices.ONEDNN_IS_FAR_AHEAD", request.param == "oneDNN")
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    name = item.path.name
    return _LONGEST_FIRST.index(name) if name in _LONGEST_FIRST else len(_LONGEST_FIRST)
