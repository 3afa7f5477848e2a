"""The page's logic, which needs no page: run by Node's own test runner."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_TESTS = sorted((_ROOT / "tests" / "web").glob("*.test.mjs"))
_MODULES = sorted(path for path in (_ROOT / "web").rglob("*.*js"))
_OURS = [path for path in _MODULES if path.parent.name != "vendor"]
_TSC = ("node", _ROOT / "node_modules" / "typescript" / "bin" / "tsc")

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js 20 or newer on the PATH")
needs_tsc = pytest.mark.skipif(not _TSC[1].is_file(), reason="needs TypeScript: npm ci --ignore-scripts")


@needs_node
@pytest.mark.parametrize("file", _TESTS, ids=lambda path: path.name)
def test_the_logic_of_the_page(file: Path) -> None:
    run = subprocess.run(
        ["node", "--test", "--test-reporter=tap", file], capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_comfyui_loads_one_file_only() -> None:
    """It imports every .js below web/; modules are .mjs, or they would be run twice."""
    assert [path.name for path in _MODULES if path.suffix == ".js"] == ["lora_atelier.js"]


@needs_tsc
def test_the_types_of_the_page_hold() -> None:
    run = subprocess.run([*_TSC, "--project", _ROOT], capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.name)
def test_text_is_never_taken_for_html_or_code(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    dangers = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc")
    assert [danger for danger in dangers if danger in source] == []


@pytest.mark.parametrize("path", _OURS, ids=lambda path: path.name)
def test_comfyui_is_touched_in_one_folder_only(path: Path) -> None:
    if path.parent != _ROOT / "web" / "host":
        assert "/scripts/" not in path.read_text(encoding="utf-8")
