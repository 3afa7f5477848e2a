"""The captions of a job file: rules, a tagger if one is named, edits by hand.

"captions": {
  "trigger_word": "mochi", "remove_kinds": ["hair", "eyes"],
  "tagger": {"name": "wd-vit-tagger-v3"},
  "edits": {"pictures": {"a.png": {"add": ["hat"]}}}
}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .captions.composing import compose
from .captions.edits import CaptionEdits
from .captions.rules import CaptionRules
from .dataset.types import Dataset
from .errors import TrainingError
from .fields import read_fields
from .tagging.asking import Asking
from .tagging.captioning import CaptionerOptions
from .tagging.finding import find_tagger, places_from_environment
from .tagging.tagger import TagAnswer, TaggerModel


def caption_dataset(dataset: Dataset, value: Any, *, device: str, caches: Path | None) -> Dataset:
    """The dataset with the captions that the job's "captions" ask for. What a tagger answered is kept in `caches`.

    Raises:
        TrainingError: an unknown field or a value that cannot be used, by name; a tagger that is not there.
    """
    if not isinstance(value, dict):
        raise TrainingError(f"captions must be an object with named fields, got {value!r}.")
    rules = {name: entry for name, entry in value.items() if name not in ("tagger", "edits")}
    model = _tagger(value["tagger"]) if value.get("tagger") else None
    return compose(
        dataset,
        CaptionRules.from_json(rules),
        answers=_answers(dataset, model, device, caches) if model else None,
        model=model,
        edits=CaptionEdits.from_json(value.get("edits", {})),
    ).dataset


def _tagger(value: Any) -> TaggerModel:
    """The model of a name; everything else in `value` is a field of CaptionerOptions."""
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise TrainingError('captions.tagger must be an object with a "name", such as {"name": "wd-vit-tagger-v3"}.')
    options = {name: entry for name, entry in value.items() if name != "name"}
    captioner = read_fields(CaptionerOptions, options, "captions.tagger")
    return find_tagger(value["name"], places_from_environment(), captioner)


def _answers(dataset: Dataset, model: TaggerModel, device: str, caches: Path | None) -> list[TagAnswer]:
    asking = Asking(dataset, model, device=device, caches=caches)
    for _ in asking.steps():
        pass
    return asking.answers()
