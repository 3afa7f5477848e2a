"""selected_tags.csv, the list of tags beside every WD tagger: row i names output i."""

from __future__ import annotations

import csv
from pathlib import Path

from ..errors import TrainingError
from ..files import read_text
from .tag_list import TagList

_GENERAL, _CHARACTER = "0", "4"
"""Danbooru's numbers of these categories. 9 is the rating, which is no tag."""


def read_wd_tags(file: Path) -> TagList:
    """Read a list with the columns `name` and `category`, in whatever order of columns and rows.

    Raises:
        TrainingError: it cannot be read, or is no such list.
    """
    rows = csv.DictReader(read_text(file).splitlines())
    try:
        named = [(row["name"].strip(), row["category"].strip()) for row in rows]
    except (KeyError, AttributeError, csv.Error) as problem:
        raise _not_a_list(file) from problem
    if not named:
        raise _not_a_list(file)
    return TagList(outputs=len(named), general=_of(_GENERAL, named), character=_of(_CHARACTER, named))


def check_outputs(tags: TagList, outputs: int, file: Path) -> None:
    """Refuse a list that was made for another model than the one with so many outputs.

    Raises:
        TrainingError: the numbers differ.
    """
    if tags.outputs != outputs:
        raise TrainingError(
            f"{file.name} lists {tags.outputs:,} tags, but its tagger has {outputs:,} outputs. "
            f"Download selected_tags.csv from the same place as the tagger into {file.parent}."
        )


def _of(category: str, named: list[tuple[str, str]]) -> dict[int, str]:
    return {output: name for output, (name, own) in enumerate(named) if own == category}


def _not_a_list(file: Path) -> TrainingError:
    return TrainingError(
        f"{file} is not a WD tagger's list of tags (columns tag_id,name,category,count). "
        "Download selected_tags.csv from the same place as the tagger."
    )
