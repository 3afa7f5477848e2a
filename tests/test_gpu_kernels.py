"""Triton's kernels become machine code for GPUs from RTX 20 on, with registers for all that they hold."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux")

ROOT = Path(__file__).parents[1]
GPUS = ["RTX 20", "RTX 30", "H100", "RTX 50", "RX 7900"]
THAT_DO_NOT_MULTIPLY = {"RTX 20", "RX 7900"}
THAT_MULTIPLY = {"few_keys_kernels.py", "narrow_gradients.py"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[dict[str, int]]]]:
    """GPU -> kernel -> figures of each size; compiled anew."""
    given = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment = given | {"TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton"))}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.compiled_kernels"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)


def kernels(gpu: str) -> set[str]:
    """What is decorated with triton.jit and no other such function calls: the others are parts of these."""
    files = set((ROOT / "trainer_core/families/gpu").glob("*.py"))
    if gpu in THAT_DO_NOT_MULTIPLY:
        files -= {file for file in files if file.name in THAT_MULTIPLY}
    trees = [ast.parse(file.read_text("utf-8")) for file in files]
    functions = [part for tree in trees for part in ast.walk(tree) if isinstance(part, ast.FunctionDef)]
    compiled = [one for one in functions if any("triton.jit" in ast.unparse(mark) for mark in one.decorator_list)]
    calls = [part.func for one in compiled for part in ast.walk(one) if isinstance(part, ast.Call)]
    return {one.name for one in compiled} - {function.id for function in calls if isinstance(function, ast.Name)}


def all_of(found, gpu: str) -> list[dict[str, int]]:
    return [figures for sizes in found[gpu].values() for figures in sizes]


@pytest.mark.parametrize("gpu", GPUS)
def test_every_kernel_becomes_machine_code(found, gpu):
    assert set(found[gpu]) == kernels(gpu)
    assert all(figures["code"] > 1000 for figures in all_of(found, gpu))


@pytest.mark.parametrize("gpu", GPUS)
def test_no_kernel_shares_more_memory_than_there_is(found, gpu):
    most = (64 if gpu in THAT_DO_NOT_MULTIPLY else 99) * 1024
    assert max(figures["shared"] for figures in all_of(found, gpu)) <= most


def test_no_kernel_holds_more_than_there_are_registers(found):
    spilled = {gpu: [one.get("spilled", 0) for one in all_of(found, gpu)] for gpu in GPUS}
    assert sum(map(len, spilled.values())) >= 50
    assert not any(map(any, spilled.values())), spilled
