"""No kernel from the network without anyone's say.

On processors with bf16, bitsandbytes downloads one from Hugging Face and runs it, whenever it is imported where the
package kernels is installed; and diffusers and peft import bitsandbytes. The kernel multiplies in 4 bits on a CPU,
which nothing here asks for.
"""

from __future__ import annotations

import importlib
import logging
import sys
from contextlib import suppress
from importlib.util import find_spec


def keep_off() -> None:
    """Import bitsandbytes as if kernels were not there, before anyone else does; where that is not installed, or the
    other is imported already, there is nothing to do."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # it warns that it has none
    if "bitsandbytes" in sys.modules or not all(map(find_spec, ("kernels", "bitsandbytes"))):
        return
    missing = object()
    loaded = sys.modules.get("kernels", missing)
    sys.modules["kernels"] = None  # whoever imports it is told that there is none
    try:
        with suppress(Exception):  # one that does not fit its torch; whoever needs it says so
            importlib.import_module("bitsandbytes")
    finally:
        if loaded is missing:
            del sys.modules["kernels"]
        else:
            sys.modules["kernels"] = loaded
