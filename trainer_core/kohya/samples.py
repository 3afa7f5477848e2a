"""Pictures drawn while training: sd-scripts' file of prompts and its options."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..files import expanded, read_text
from .options import Options

_FILES = (".txt", ".toml", ".json")
_MOST_BYTES = 2**20
_OPTION = re.compile(r"\s--(\w+)\s*(.*?)(?=\s--\w|$)")
_SAMPLERS = {
    "ddim": "ddim",
    "euler": "euler",
    "k_euler": "euler",
    "euler_a": "euler_ancestral",
    "k_euler_a": "euler_ancestral",
    "dpmsolver": "dpmpp_2m",
    "dpmsolver++": "dpmpp_2m",
}


def samples(options: Options) -> dict[str, Any]:
    """What is drawn and when. Where no prompts are given nothing is: then no field is set, as sd-scripts draw nothing.

    Every option is read in either case, so that none of them is called unknown.
    """
    found = {
        "samples.every_epochs": options.whole("sample_every_n_epochs", 0),
        "samples.before_first": options.flag("sample_at_first", False),
        "samples.steps": 30,
        "samples.cfg": 7.5,
        "samples.sampler": _sampler(options.text("sample_sampler", "ddim"), options),
    }
    prompts = _prompts(options.text("sample_prompts", ""), options)
    return found | {"samples.prompts": prompts} if prompts else {}


def file_named(text: str) -> Path | None:
    """The file of prompts that is meant; None where these are the prompts themselves, as the GUI saves them."""
    is_name = "\n" not in text and Path(text).suffix.lower() in _FILES
    return expanded(text) if is_name else None


def _prompts(text: str, options: Options) -> str:
    path = file_named(text)
    if path and (refusal := _refusal(path)):
        options.unsupported.append(f"sample_prompts {text}: {refusal}; write the prompts into samples.prompts")
        return ""
    lines = (read_text(path) if path else text).splitlines()
    return "\n".join(_line(line, options) for line in lines)


def _refusal(path: Path) -> str:
    """Why a file of prompts is not taken over; empty where it is."""
    if path.suffix.lower() != ".txt":
        return "only a .txt with a prompt a line is read"
    if not os.path.isfile(path):
        return "the file is not there"
    return "the file is larger than 1 MB" if path.stat().st_size > _MOST_BYTES else ""


def _line(line: str, options: Options) -> str:
    """A prompt with those of its options that there are here."""
    if line.lstrip().startswith("#"):
        return line
    return _OPTION.sub(lambda match: _converted(match[1], match[2], options), line).strip()


def _converted(letter: str, text: str, options: Options) -> str:
    if letter in ("w", "h") and text.isdecimal():
        text = str(max(64, int(text) // 8 * 8))  # as sd-scripts round them
    elif letter == "ss":
        text = _sampler(text, options)
    elif letter not in ("n", "w", "h", "d", "s", "l"):
        _tell(f"sample_prompts --{letter} {text}".rstrip() + ": there is no such setting here", options)
        return ""
    return f" --{letter} {text}"


def _sampler(name: str, options: Options) -> str:
    if name not in _SAMPLERS:
        _tell(f"sample_sampler {name}: there is no such sampler here, euler is taken", options)
    return _SAMPLERS.get(name, "euler")


def _tell(line: str, options: Options) -> None:
    """Once, however many prompts say it."""
    if line not in options.unsupported:
        options.unsupported.append(line)
