"""tag and taggers: captions for a folder, and the models that write them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import get_args

from ..captions.advisor import advise
from ..captions.composing import Composition, compose
from ..captions.edits import CaptionEdits
from ..captions.rule_text import read_replacements, read_tags
from ..captions.rules import CaptionRules, Existing, Order
from ..captions.sidecars import as_read, read_sidecars, write_sidecars
from ..dataset.types import Dataset
from ..files import read_text
from ..tagging.asking import Asking
from ..tagging.captioning import CaptionerOptions, Detail
from ..tagging.catalogue import CATALOGUE
from ..tagging.download import Download, mirrors
from ..tagging.finding import TaggerPlaces, find_tagger, find_taggers, places_from_environment
from ..tagging.tagger import TagAnswer, TaggerModel
from .arguments import Answer, add_command, add_device, device_of, say
from .folders import add_folder, read_dataset, say_now_and_then


def add_tagging_commands(commands) -> None:
    tag = add_command(commands, "tag", _tag, "write captions by a tagger or from the files, and edit them")
    add_folder(tag)
    tag.add_argument("--tagger", metavar="NAME", help="model that writes captions; `taggers` lists them")
    _add_rules(tag)
    _add_captioner(tag)
    tag.add_argument("--write", action="store_true", help="write .txt files beside the pictures; the first become .bak")
    _add_models(tag)
    add_device(tag)

    taggers = add_command(commands, "taggers", _taggers, "list the models that write captions, or download one")
    taggers.add_argument("--download", metavar="NAME", choices=[known.name for known in CATALOGUE])
    taggers.add_argument("--mirror", choices=mirrors(), default=mirrors()[0], help="where Hugging Face's files are")
    _add_models(taggers)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    """One option for each field of CaptionRules, and the edits by hand."""
    parser.add_argument(
        "--existing", choices=get_args(Existing), default="keep", help="captions that are there already"
    )
    parser.add_argument("--threshold", type=float, help="score from which a tag is taken; the model's own unless given")
    parser.add_argument("--character-threshold", type=float, help="the same for names of characters")
    parser.add_argument("--trigger-word", default="", help="put first in every training caption")
    parser.add_argument(
        "--remove",
        dest="remove_tags",
        type=read_tags,
        default=(),
        metavar="TAGS",
        help="tags to delete; * matches anything",
    )
    parser.add_argument(
        "--remove-kinds", type=read_tags, default=(), metavar="KINDS", help="kinds of tags to delete, such as hair,eyes"
    )
    parser.add_argument(
        "--replace",
        dest="replace_tags",
        action="append",
        default=[],
        metavar="OLD->NEW",
        help="tag to write otherwise; may be given several times",
    )
    parser.add_argument(
        "--ignore",
        dest="ignore_tags",
        type=read_tags,
        default=(),
        metavar="TAGS",
        help="tags never taken from the model",
    )
    parser.add_argument("--add", dest="add_tags", type=read_tags, default=(), metavar="TAGS", help="tags to add")
    parser.add_argument("--underscores", action="store_true", help="long_hair instead of long hair")
    parser.add_argument("--order", choices=get_args(Order), default="score", help="order of the model's tags")
    parser.add_argument(
        "--fewest-tags", type=int, default=0, help="where fewer reach the threshold, the surest below it"
    )
    parser.add_argument("--most-tags", type=int, default=0, help="no more tags than this; 0: no limit")
    parser.add_argument("--edits", type=Path, help="file of edits by hand, as the tag editor keeps them (JSON)")


def _add_captioner(parser: argparse.ArgumentParser) -> None:
    """One option for each field of CaptionerOptions."""
    usual = CaptionerOptions()
    parser.add_argument("--beams", type=int, default=usual.beams, help="sentences that are followed at once")
    parser.add_argument("--fewest-tokens", type=int, default=usual.fewest_tokens, help="shortest sentence")
    parser.add_argument("--most-tokens", type=int, default=usual.most_tokens, help="longest sentence")
    parser.add_argument("--prefix", default=usual.prefix, help="how each sentence begins")
    parser.add_argument("--detail", choices=get_args(Detail), default=usual.detail, help="how much Florence-2 says")


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, help="ComfyUI's models folder; that of COMFYUI_DIR unless given")


def _tag(options: argparse.Namespace) -> Answer:
    dataset = read_dataset(options)
    before = read_sidecars(dataset)
    places = places_from_environment(options.models)
    model = find_tagger(options.tagger, places, _captioner(options)) if options.tagger else None
    found = compose(
        dataset,
        _rules(options),
        answers=_answers(options, dataset, model) if model else None,
        model=model,
        edits=CaptionEdits.read(read_text(options.edits) if options.edits else ""),
    )
    written = list(write_sidecars(found.dataset, as_read(dataset, before))) if options.write else []
    return _answer(found, written)


def _answer(found: Composition, written: Sequence) -> Answer:
    captions = {str(image.path): image.caption for image in found.dataset.images}
    advice = advise(found.dataset)
    lines = [
        *(f"{Path(path).name}: {caption}" for path, caption in captions.items()),
        *found.remarks,
        *(entry.line for entry in advice),
        *(f"{entry.path.name} is not written: {entry.reason}" for entry in written if entry.state == "refused"),
    ]
    changed = [str(entry.path) for entry in written if entry.state == "written"]
    if written:
        lines.append(f"{len(changed)} caption files written")
    return {
        "captions": captions,
        "remarks": list(found.remarks),
        "advice": [asdict(entry) for entry in advice],
        "written": changed,
        "refused": {str(entry.path): entry.reason for entry in written if entry.state == "refused"},
    }, lines


def _answers(options: argparse.Namespace, dataset: Dataset, model: TaggerModel) -> list[TagAnswer]:
    asking = Asking(dataset, model, device=device_of(options), caches=options.cache)
    for report in asking.steps():
        say_now_and_then(options, report)
    return asking.answers()


def _rules(options: argparse.Namespace) -> CaptionRules:
    given = {field.name: getattr(options, field.name) for field in fields(CaptionRules)}
    return CaptionRules(**{**given, "replace_tags": read_replacements("\n".join(options.replace_tags))})


def _captioner(options: argparse.Namespace) -> CaptionerOptions:
    return CaptionerOptions(**{field.name: getattr(options, field.name) for field in fields(CaptionerOptions)})


def _taggers(options: argparse.Namespace) -> Answer:
    places = places_from_environment(options.models)
    if options.download:
        _fetch(options, places)
    found = find_taggers(places, CaptionerOptions())
    rows = [
        {
            "name": known.name,
            "found": known.name in found,
            "megabytes": known.megabytes,
            "licence": known.licence,
            "note": known.note,
        }
        for known in CATALOGUE
    ]
    own = [name for name in found if not _is_known(name)]
    rows += [{"name": name, "found": True, "megabytes": 0, "licence": "", "note": "your own"} for name in own]
    lines = [
        f"{'yes' if row['found'] else 'no ':3}  {row['name']:28}  {_size(row['megabytes'])}  {row['licence']:12}  "
        f"{row['note']}"
        for row in rows
    ]
    return {"taggers": rows, "folder": str(places.ours)}, [f"in {places.ours}", *lines]


def _fetch(options: argparse.Namespace, places: TaggerPlaces) -> None:
    known = next(known for known in CATALOGUE if known.name == options.download)
    shown = -1
    for report in Download(known, places.ours, mirror=options.mirror).steps():
        share = 10 * report.done // max(1, report.total)
        if share != shown:
            say(options, f"{report.stage}: {report.done / 1e6:,.0f} of {report.total / 1e6:,.0f} MB")
            shown = share


def _is_known(name: str) -> bool:
    return any(known.name == name for known in CATALOGUE)


def _size(megabytes: int) -> str:
    return f"{megabytes:>6,} MB" if megabytes else " " * 9
