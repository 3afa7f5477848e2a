"""A command line of sd-scripts -> its options: accelerate in front, quotes and continued lines of any shell."""

from __future__ import annotations

import re
import shlex
from pathlib import PureWindowsPath
from typing import Any

from ..errors import TrainingError

SCRIPTS = ("train_network.py", "sdxl_train_network.py")
"""The scripts that train LoRAs of the families that are known here."""

_CONTINUED = re.compile(r"[ \t]*(?<=[\s\"'])[\\^`][ \t]*\r?\n")
_COMMENT = re.compile(r"(?im)^[ \t]*(#|::|rem\b|@echo\b|set\b|export\b|call\b|cd\b|source\b|pause\b).*$")


def read_command(text: str) -> dict[str, Any]:
    """Options of a command line: a text for one word, a list for several, True for none; the last one counts.

    "script" holds the name of the script, where one is named. In a shell script the first command that runs one of the
    training scripts counts. Backslashes are kept: Windows' paths are full of them.

    Raises:
        TrainingError: an open quote, no options, or a script that trains something else.
    """
    script, words = _after_the_script(_words(text))
    options: dict[str, Any] = {"script": script} if script else {}
    name = ""
    for word in words:
        if re.match(r"--[A-Za-z]", word):
            name, equals, value = word[2:].partition("=")
            options[name] = [value] if equals else []
        elif name:
            options[name].append(word)
    if not any(option != "script" for option in options):
        raise TrainingError(
            "there is no sd-scripts option such as --network_dim in this text. "
            "Give a command line, or a .toml or .json file that exists."
        )
    return {option: _simplified(value) for option, value in options.items()}


def _words(text: str) -> list[str]:
    joined = _CONTINUED.sub(" ", text)
    reader = shlex.shlex(_COMMENT.sub("", joined), posix=True, punctuation_chars="")
    reader.whitespace_split, reader.escape, reader.commenters = True, "", ""
    reader.whitespace = " \t\r"  # an end of line that is not continued ends the command
    try:
        return [piece for word in reader for piece in _pieces(word)]
    except ValueError:
        raise TrainingError("a quote in the command line is not closed. Copy the whole command.") from None


def _pieces(word: str) -> list[str]:
    """Ends of lines as words of their own; a quoted text with several lines is torn, which no option needs."""
    return [piece for piece in re.split(r"(\n)", word) if piece]


def _after_the_script(words: list[str]) -> tuple[str, list[str]]:
    for place, word in enumerate(words):
        name = PureWindowsPath(word).name
        if name in SCRIPTS:
            return name, _up_to_the_end(words[place + 1 :])
        if name.endswith(".py") and "train" in name:
            raise TrainingError(
                f"{name} trains another kind of model. Only commands of {' and '.join(SCRIPTS)} can be imported."
            )
    return "", [word for word in words if word != "\n"]


def _up_to_the_end(words: list[str]) -> list[str]:
    ends = [place for place, word in enumerate(words) if word in ("\n", "&&", ";", "|", "&")]
    return words[: ends[0]] if ends else words


def _simplified(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return True if not value else value[0] if len(value) == 1 else value
