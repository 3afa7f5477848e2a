"""What commands share: how one is declared, how it answers, and the kinds of its arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..errors import TrainingError
from ..job import parse_size

Answer = tuple[dict[str, Any], list[str]]
"""What a command found: as JSON for machines, and as lines for people."""


def add_command(commands, name: str, run: Callable[[argparse.Namespace], Answer], text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(run=run)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, …")


def add_tokenizer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer", type=Path, action="append", default=[], help="a folder with a CLIP tokenizer")


def device_of(options: argparse.Namespace) -> str:
    """
    Raises:
        TrainingError: there is no such device here.
    """
    if options.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=options.device)
    except (RuntimeError, AssertionError, NotImplementedError):  # as torch says it of what it was built without
        found = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise TrainingError(f"there is no device {options.device!r} here. Choose {' or '.join(found)}.") from None
    return options.device


def say(options: argparse.Namespace, line: str) -> None:
    """Progress: on the error stream where the answer is for a machine."""
    print(line, file=sys.stderr if options.json else sys.stdout, flush=True)


def size(text: str) -> tuple[int, int]:
    try:
        return parse_size(text)
    except TrainingError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def source(text: str) -> tuple[Path, int]:
    """ "folder=10" -> (folder, 10 repeats)."""
    folder, sign, repeats = text.rpartition("=")
    return (Path(folder), int(repeats)) if sign and repeats.isdecimal() else (Path(text), 1)
