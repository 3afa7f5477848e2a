"""BLIP (Li et al. 2022, arXiv 2201.12086): one short sentence about a picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import TrainingError
from ..files import digest
from .captioner_folder import identity_of_folder, load_model, load_tokenizer, read_config, read_picture_input
from .captioning import NO_REPEATED_TOKENS, Captioner, CaptionerOptions

_EXAMPLE = "Salesforce/blip-image-captioning-base"
_VERSION = 1
"""Raise it with every change of what is written: kept answers are then asked for anew."""
_APART = re.compile(r"(?<=\w) ?' ?(?=(?:s|t|d|m|ll|re|ve)\b)|(?<=\w) - (?=\w)| (?=[.,!?;:])")


@dataclass(frozen=True, slots=True)
class BlipModel:
    """The captioner in a folder like Salesforce/blip-image-captioning-base or -large; a `TaggerModel`."""

    threshold: ClassVar[float] = 0.0
    character_threshold: ClassVar[float] = 0.0

    name: str
    folder: Path
    options: CaptionerOptions

    @property
    def identity(self) -> str:
        """
        Raises:
            TrainingError: the folder cannot be read.
        """
        chosen = self.options
        settings = [chosen.beams, chosen.fewest_tokens, chosen.most_tokens, chosen.beginning]
        return identity_of_folder(digest("blip", _VERSION, settings), self.folder)

    def load(self, device: str) -> BlipCaptioner:
        """
        Raises:
            TrainingError: the folder does not hold a whole BLIP captioner in the Hub's layout.
        """
        from transformers import BlipForConditionalGeneration

        read_config(self.folder, BlipForConditionalGeneration.__name__, _EXAMPLE)
        picture_input = read_picture_input(self.folder)
        model = load_model(BlipForConditionalGeneration, self.folder, device)
        side = model.config.vision_config.image_size
        if (picture_input.height, picture_input.width) != (side, side):
            raise TrainingError(
                f"{self.folder / 'preprocessor_config.json'} scales pictures to {picture_input.width}x"
                f"{picture_input.height}, but the model reads {side}x{side}. Download it again."
            )
        tokenizer = load_tokenizer(self.folder, token="[SEP]", number=model.config.text_config.sep_token_id)
        return BlipCaptioner(options=self.options, picture_input=picture_input, model=model, tokenizer=tokenizer)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlipCaptioner(Captioner):
    """BLIP with its weights."""

    def write(self, pixels_BCHW: Tensor) -> list[str]:
        """A sentence in lower case for each picture, which begins with the prefix."""
        # [CLS] prefix [SEP]: generate puts [DEC] for the first and drops the last, as BLIP was trained.
        prefix_L = self.tokenizer(self.options.beginning, return_tensors="pt").input_ids[0]
        written_BL = self.model.generate(
            pixel_values=pixels_BCHW,
            input_ids=prefix_L.to(pixels_BCHW.device).repeat(len(pixels_BCHW), 1),
            do_sample=False,
            num_beams=self.options.beams,
            min_new_tokens=self.options.fewest_tokens,
            max_new_tokens=self.options.most_tokens,
            no_repeat_ngram_size=NO_REPEATED_TOKENS,
            logits_processor=[forbid_echo],
        )
        # [DEC] is not in the tokenizer's vocabulary.
        return [_spelled(self.tokenizer.decode(ids, skip_special_tokens=True)) for ids in written_BL[:, 1:]]


def forbid_echo(written_BL: Tensor, scores_BV: Tensor) -> Tensor:
    """Scores in which the token just written cannot come next: BLIP, sure of nothing, writes "a bald bald bald".

    A repetition penalty would also weigh on the second "a" or "and" of an honest sentence.
    """
    return scores_BV.scatter(1, written_BL[:, -1:], -torch.inf)


def _spelled(sentence: str) -> str:
    """`sentence` with what BERT's tokenizer takes apart put together: man ' s, t - shirt, a street ."""
    return _APART.sub(lambda found: found[0].replace(" ", ""), sentence)
