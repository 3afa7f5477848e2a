"""What is asked of devices."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_FREED = """
import psutil, torch
from trainer_core.devices import give_back_memory
before = psutil.Process().memory_info().rss
many = [torch.ones(20_000) for _ in range(5000)]  # 80 kB each: too small to be given back one by one
last = torch.ones(20_000)
del many
kept = psutil.Process().memory_info().rss - before
give_back_memory("cpu")
print(kept, psutil.Process().memory_info().rss - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems are not asked")
def test_memory_that_malloc_keeps_is_given_back():
    done = subprocess.run([sys.executable, "-c", _FREED], cwd=_ROOT, capture_output=True, text=True, check=True)
    kept, left = map(int, done.stdout.split())
    assert kept > 300e6 > 50e6 > left
