"""python -m trainer_core: the stages of the graph without a graph.

Every command takes --json for machines. Exit code 0: done; 1: it ran and failed; 2: the arguments are wrong.
"""

from __future__ import annotations

import sys

from .command_line import main

if __name__ == "__main__":
    sys.exit(main())
