"""Folders, sizes and caption rules: the part of a job that is not the plan."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..captions.tags import split_tags
from .options import Options, read_whole
from .toml import Subset

_READ_CAPTIONS = (".txt", ".caption")
_LARGEST_SIDE = 1024
"""Of a bucket, where sd-scripts are not told."""


def dataset(options: Options, subsets: Sequence[Subset]) -> Any:
    """The job's dataset: the folders of a dataset config, or those of the command line; None where there are none."""
    rules: dict[str, Any] = {"transparency_as_mask": True} if options.flag("alpha_mask", False) else {}
    if options.flag("enable_wildcard", False):
        rules["caption_lines"] = "pick"
    _note_caption_files(options)
    sources = _sources_of(subsets, options) if subsets else _sources_of_folders(options)
    entries = [{**source, "reading": rules} if rules else source for source in sources]
    return None if not entries else entries[0] if len(entries) == 1 else entries


def crop(options: Options, *, is_sdxl: bool) -> dict[str, Any]:
    """Centred, as sd-scripts crop."""
    side = 1024 if is_sdxl else 512
    if "resolution" not in options:
        options.notes.append(f"no resolution is given; {side}x{side} is taken")
    sides = re.split(r"[,x\s\[\]()]+", options.text("resolution", str(side)).strip("[]() "))
    width, height = (read_whole(number, "resolution") for number in (sides * 2)[:2])
    found: dict[str, Any] = {"size": f"{width}x{height}", "method": "center"}
    keeps_size, has_buckets = options.flag("bucket_no_upscale", False), options.flag("enable_bucket", False)
    found["enlarge"] = not (keeps_size and has_buckets)
    found["buckets"] = has_buckets
    has_limit = found["enlarge"] and max(width, height) <= _LARGEST_SIDE
    limits = {
        "bucket_step": options.whole("bucket_reso_steps", 0),
        "smallest_bucket_side": options.whole("min_bucket_reso", 0),
        "largest_bucket_side": options.whole("max_bucket_reso", _LARGEST_SIDE if has_limit else 0),
    }
    if not found["enlarge"]:  # where sd-scripts heed no limits
        limits = {"bucket_step": limits["bucket_step"]}
        options.notes.append(
            "bucket_no_upscale: a bucket is made smaller until the picture fills it; sd-scripts cut the picture's own "
            "sides to steps, so sizes differ a little"
        )
    if has_buckets:
        found |= {field: value for field, value in limits.items() if value}
        if has_limit and "max_bucket_reso" not in options and 2 * max(width, height) > _LARGEST_SIDE:
            options.notes.append(f"no max_bucket_reso is given: no side of a bucket is beyond {_LARGEST_SIDE} then")
    options.notes.append("pictures are cropped in the middle, as by sd-scripts; crop.method focus follows the subject")
    return found


def captions(options: Options) -> dict[str, Any]:
    """What is put in front of every caption is a trigger word, and stays there when tags are shuffled."""
    found: dict[str, Any] = {}
    if prefix := options.text("caption_prefix", "").strip(" ,"):
        found["trigger_word"] = prefix
        options.notes.append(f"caption_prefix {prefix!r} is taken for the trigger word")
    if suffix := options.text("caption_suffix", "").strip(" ,"):
        found["add_tags"] = split_tags(suffix)
    return found


def _note_caption_files(options: Options) -> None:
    given = options.text("caption_extension", options.text("caption_extention", ".caption"))
    if given not in _READ_CAPTIONS:
        options.unsupported.append(f"caption_extension {given}: captions are read from .txt, then .caption")
    elif given == ".caption":
        options.notes.append("where a picture has a .txt beside its .caption, the .txt counts here")
    if not options.flag("enable_wildcard", False):
        options.notes.append("the lines of a caption file are one caption here; sd-scripts train the first line alone")


def _sources_of_folders(options: Options) -> list[dict[str, Any]]:
    folder, regularisation = options.text("train_data_dir", ""), options.text("reg_data_dir", "")
    repeats = options.whole("dataset_repeats", 1)
    if not folder:
        options.notes.append("no folder of pictures is given: fill in dataset.folder")
        return []
    options.notes.append(
        f"{folder} is read with all that lies in it, folders in folders too; sd-scripts train only what lies right in "
        "its folders named like 10_words"
    )
    return [{"folder": folder, "repeats": repeats, **({"regularisation": regularisation} if regularisation else {})}]


def _sources_of(subsets: Sequence[Subset], options: Options) -> list[dict[str, Any]]:
    """Each training folder, and with it one of the folders of regularisation pictures."""
    for name in ("train_data_dir", "reg_data_dir", "dataset_repeats"):
        options.drop(name)  # a dataset config stands in their place
    training = [subset for subset in subsets if not subset.is_regularisation]
    regularisation = [subset for subset in subsets if subset.is_regularisation]
    sources = [{"folder": subset.folder, "repeats": subset.repeats} for subset in training]
    for source, subset in zip(sources, regularisation, strict=False):
        source |= {"regularisation": subset.folder, "regularisation_repeats": subset.repeats}
    for subset in regularisation[len(sources) :]:
        options.unsupported.append(f"image_dir {subset.folder}: each training folder has one of regularisation here")
    for subset in subsets:
        _note_names(subset, options)
    return sources


def _note_names(subset: Subset, options: Options) -> None:
    name = re.split(r"[/\\]", subset.folder.rstrip("/\\"))[-1]
    number = re.match(r"(\d{1,3})_", name)
    if number and int(number[1]) != subset.repeats:
        options.notes.append(f"the name of the folder {name} sets {int(number[1])} repeats here, not {subset.repeats}")
    if subset.class_tokens:
        options.notes.append(
            f"class_tokens {subset.class_tokens!r} is the caption of pictures without one only in a folder of the "
            f'name "{subset.repeats}_{subset.class_tokens}"; rename {name}'
        )
