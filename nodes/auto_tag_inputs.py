"""The widgets of Auto Tag: where captions come from, what becomes of them, and what the tag editor keeps."""

from typing import get_args

from comfy_api.latest import io

from ..trainer_core.captions.kinds import Kind
from ..trainer_core.captions.rules import Existing, Order
from ..trainer_core.tagging.captioning import CaptionerOptions, Detail
from . import host
from .types import DatasetSocket

FROM_FILES = "captions from files"


def auto_tag_inputs() -> list[io.Input]:
    return [*_main_inputs(), *_editing_inputs(), *_captioner_inputs(), *_kept_inputs(), _captions_socket()]


def _main_inputs() -> list[io.Input]:
    return [
        DatasetSocket.Input("dataset", tooltip="Pictures from Smart Crop or Load Dataset."),
        io.Combo.Input(
            "method",
            options=[FROM_FILES, *host.list_taggers()],
            default=FROM_FILES,
            tooltip="What writes the captions. wd and deepdanbooru give tags, for models trained on drawings; blip and "
            "florence-2 give sentences, for models trained on photos. A model that you do not have yet can be "
            "downloaded with the button below.",
        ),
        io.Combo.Input(
            "existing",
            options=list(get_args(Existing)),
            default="keep",
            tooltip="Pictures that have captions already: keep leaves these as they are, merge puts what is found "
            "after them, overwrite replaces them. Chain two Auto Tags with merge for a sentence and tags together.",
        ),
        io.Float.Input(
            "threshold",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="How sure a tag must be, 0 to 1. Lower gives more tags, and more wrong ones. 0: what suits the "
            "model, such as 0.6 for deepdanbooru and 0.35 for wd. Moving it never runs the model again.",
        ),
        io.String.Input(
            "trigger_word",
            default="",
            tooltip="A word that calls your subject in prompts, put first in every training "
            "caption. Choose one that means nothing yet, such as mochi_cat. Empty: none is added.",
        ),
        io.String.Input(
            "remove_tags",
            default="",
            tooltip="Tags to take out of every caption, separated by commas; * stands for anything. Remove what always "
            "belongs to your subject (hair colour, markings), so that the trigger word absorbs it.",
        ),
        io.String.Input(
            "add_tags",
            default="",
            tooltip="Tags to add to every caption, separated by commas. Add what all pictures share "
            "but what is not your subject, such as photo or white background.",
        ),
    ]


def _editing_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "character_threshold",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            advanced=True,
            tooltip="How sure the name of a known character must be, 0 to 1. 0: what suits the model, 0.85 for wd.",
        ),
        io.String.Input(
            "remove_kinds",
            default="",
            advanced=True,
            tooltip=f"Kinds of tags to take out of every caption, separated by commas: {', '.join(get_args(Kind))}. "
            "For a character: hair, eyes, body.",
        ),
        io.String.Input(
            "replace_tags",
            default="",
            multiline=True,
            advanced=True,
            tooltip="Tags to write otherwise, one a line: old -> new. * in the old one stands for anything.",
        ),
        io.String.Input(
            "ignore_tags",
            default="",
            advanced=True,
            tooltip="Tags that are never taken from the model, separated by commas, such as watermark, signature. "
            "Captions that are there already keep theirs.",
        ),
        io.Boolean.Input(
            "underscores",
            default=False,
            advanced=True,
            tooltip="On: long_hair, as the models' lists have it. Off: long hair, as prompts are written. Faces such "
            "as ^_^ stay as they are.",
        ),
        io.Combo.Input(
            "order",
            options=list(get_args(Order)),
            default="score",
            advanced=True,
            tooltip="Order of the model's tags: surest first, or by the alphabet.",
        ),
        io.Int.Input(
            "fewest_tags",
            default=0,
            min=0,
            max=200,
            advanced=True,
            tooltip="Where fewer tags than this reach the threshold, the surest below it are taken too; 0 to 200.",
        ),
        io.Int.Input(
            "most_tags",
            default=0,
            min=0,
            max=200,
            advanced=True,
            tooltip="No more tags than this are taken from the model, the surest ones; 0 to 200. 0: no limit. A prompt "
            "holds 75 tokens, about 25 to 30 tags.",
        ),
    ]


def _captioner_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "beams",
            default=3,
            min=1,
            max=10,
            advanced=True,
            tooltip="For blip and florence-2: how many sentences are followed at once, 1 to 10. More is slower and a "
            "little better.",
        ),
        io.Int.Input(
            "most_tokens",
            default=75,
            min=10,
            max=400,
            advanced=True,
            tooltip="For blip and florence-2: longest sentence in tokens, 10 to 400. SD1.5 and SDXL read 75.",
        ),
        io.Int.Input(
            "fewest_tokens",
            default=5,
            min=0,
            max=200,
            advanced=True,
            tooltip="For blip and florence-2: shortest sentence in tokens, 0 to 200. More makes it say more, true or "
            "not.",
        ),
        io.String.Input(
            "prefix",
            default="",
            advanced=True,
            tooltip="For blip and florence-2: how each sentence begins, such as a photo of. Empty: as the model likes.",
        ),
        io.Combo.Input(
            "detail",
            options=list(get_args(Detail)),
            default=CaptionerOptions().detail,
            advanced=True,
            tooltip="For florence-2: how much it says.",
        ),
    ]


def _kept_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "write_files",
            default=False,
            advanced=True,
            tooltip="On: the captions are written into .txt files beside the pictures when the graph runs. What a file "
            "held first is kept as .bak, and one that was edited meanwhile is left alone.",
        ),
        io.String.Input(
            "edits",
            default="",
            advanced=True,
            tooltip="What the tag editor keeps in the workflow, as JSON. Use the Edit tags button.",
        ),
    ]


def _captions_socket() -> io.Input:
    return io.String.Input(
        "captions",
        optional=True,
        force_input=True,
        tooltip="Captions from any other node, one a picture in the dataset's order, made on Dataset Pictures: a "
        "language model that sees, such as Generate Text, or any captioner. With existing they are kept, merged or "
        "overwritten like the model's.",
    )
