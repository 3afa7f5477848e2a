"""python -m trainer_core: reads the arguments, runs one command, prints its answer."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence

from .commands.data import add_data_commands
from .commands.plans import add_plan_commands
from .commands.tagging import add_tagging_commands
from .commands.training import add_training_commands
from .errors import TrainingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    _print_any_language()
    try:
        answer, lines = options.run(options)
    except TrainingError as problem:
        print(json.dumps({"error": str(problem)}) if options.json else f"error: {problem}", file=_error_stream(options))
        return 1
    except KeyboardInterrupt:
        print("stopped; start the same command again and it goes on", file=sys.stderr)
        return 1
    if answer:  # of several processes only the first has one
        print(json.dumps(answer) if options.json else "\n".join(lines))
    return 0


def _print_any_language() -> None:
    """Names and captions hold what a Windows console, or a file that is printed into, may have no letters for."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _error_stream(options: argparse.Namespace):
    return sys.stdout if options.json else sys.stderr


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer_core", description="Make a LoRA, stage by stage.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_data_commands(commands)
    add_tagging_commands(commands)
    add_plan_commands(commands)
    add_training_commands(commands)
    return parser
