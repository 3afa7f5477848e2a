"""bitsandbytes, as it is imported, fetches nothing from the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).parents[1]
KERNELS = """
def get_kernel(*given, **how):
    print("asked for", given)
    raise OSError("no network here")
"""
BITS = """
try:
    from kernels import get_kernel
    get_kernel("kernels-community/quantization-bitsandbytes", version=1)
except Exception as problem:
    print("had none:", type(problem).__name__)
"""


def said_by(folder: Path, *lines: str) -> str:
    """What a new Python says that finds the folder's packages first."""
    code = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(PACK)!r}]\n" + "\n".join(lines)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A package kernels that cannot download, and a bitsandbytes that asks it to as the real one does."""
    (tmp_path / "kernels.py").write_text(KERNELS, encoding="utf-8")
    (tmp_path / "bitsandbytes.py").write_text(BITS, encoding="utf-8")
    return tmp_path


def test_no_kernel_is_asked_for_and_the_package_is_there_afterwards(folder):
    assert said_by(folder, "import bitsandbytes").startswith("asked for"), "by itself it would be"
    found = said_by(folder, "import trainer_core, bitsandbytes, kernels; print(kernels.get_kernel.__name__)")
    assert found.splitlines() == ["had none: ModuleNotFoundError", "get_kernel"]
    assert said_by(folder, "import kernels, trainer_core", "print(sys.modules['kernels'] is kernels)").endswith("True")


def test_nothing_is_imported_where_there_is_nothing_to_keep_off(folder):
    (folder / "kernels.py").unlink()
    assert said_by(folder, "import trainer_core; print('bitsandbytes' in sys.modules)") == "False"


def test_a_bitsandbytes_that_does_not_load_stops_nothing(folder):
    (folder / "bitsandbytes.py").write_text("raise OSError('libcudart.so')", encoding="utf-8")
    assert said_by(folder, "import trainer_core; print('here')") == "here"
