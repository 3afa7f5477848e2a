"""Florence-2 (Xiao et al. 2023, arXiv 2311.06242): a sentence, several, or a paragraph about a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import TrainingError
from ..files import digest
from .captioner_folder import identity_of_folder, load_model, load_tokenizer, read_config, read_picture_input
from .captioning import NO_REPEATED_TOKENS, Captioner, CaptionerOptions, Detail

PROMPTS: dict[Detail, str] = {
    "short": "What does the image describe?",
    "detailed": "Describe in detail what is shown in the image.",
    "very detailed": "Describe with a paragraph what is shown in the image.",
}
"""What the model was trained to answer; <CAPTION>, <DETAILED_CAPTION> and <MORE_DETAILED_CAPTION> stand for these."""

_EXAMPLE = "florence-community/Florence-2-base"
_VERSION = 1
"""Raise it with every change of what is written: kept answers are then asked for anew."""


@dataclass(frozen=True, slots=True)
class Florence2Model:
    """The captioner in a folder like florence-community/Florence-2-base or -large; a `TaggerModel`."""

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
        settings = [chosen.beams, chosen.fewest_tokens, chosen.most_tokens, chosen.beginning, chosen.detail]
        return identity_of_folder(digest("florence2", _VERSION, settings), self.folder)

    def load(self, device: str) -> Florence2Captioner:
        """
        Raises:
            TrainingError: transformers is too old, or the folder does not hold a whole Florence-2 that it can read.
        """
        config = read_config(self.folder, "Florence2ForConditionalGeneration", _EXAMPLE)
        _check_converted(self.folder, config)
        picture_input = read_picture_input(self.folder)
        model = load_model(_find_class(), self.folder, device)
        tokenizer = load_tokenizer(self.folder, token="<image>", number=model.config.image_token_id)
        return Florence2Captioner(options=self.options, picture_input=picture_input, model=model, tokenizer=tokenizer)


def _check_converted(folder: Path, config: dict[str, Any]) -> None:
    """microsoft/Florence-2-* and what was trained from it bring code of their own and name their tensors otherwise."""
    vision = config.get("vision_config")
    if "auto_map" in config or not isinstance(vision, dict) or vision.get("model_type") != "florence_vision":
        raise TrainingError(
            f"{folder} is a Florence-2 that needs code from its own folder, which is never run. Take a converted "
            "one: florence-community/Florence-2-base, -base-ft, -large or -large-ft."
        )


def _find_class() -> type[Any]:
    try:
        from transformers import Florence2ForConditionalGeneration
    except ImportError as problem:
        raise TrainingError(
            "this version of transformers does not know Florence-2. Update it to 4.56 or newer, or choose BLIP."
        ) from problem
    return Florence2ForConditionalGeneration


@dataclass(frozen=True, kw_only=True, slots=True)
class Florence2Captioner(Captioner):
    """Florence-2 with its weights."""

    def write(self, pixels_BCHW: Tensor) -> list[str]:
        """A sentence or more for each picture, which begin with the prefix."""
        text = self.model.config.text_config
        prompts_BL = self._repeated(self.prompt(), pixels_BCHW)
        written_BL = self.model.generate(
            pixel_values=pixels_BCHW,
            input_ids=prompts_BL,
            attention_mask=torch.ones_like(prompts_BL),
            decoder_input_ids=self._repeated(self.start(), pixels_BCHW),
            do_sample=False,
            num_beams=self.options.beams,
            min_new_tokens=self.options.fewest_tokens,
            max_new_tokens=self.options.most_tokens,
            no_repeat_ngram_size=NO_REPEATED_TOKENS,
            early_stopping=self.options.beams > 1,  # as in the model's own settings
            eos_token_id=text.eos_token_id,  # some generation_config.json give other numbers
            pad_token_id=text.pad_token_id,
        )
        return [self.tokenizer.decode(ids, skip_special_tokens=True) for ids in written_BL]

    def prompt(self) -> list[int]:
        """What the encoder reads: a place for each of the picture's tokens, then the question."""
        # DaViT shrinks the picture by its strides; the mean of all places comes in front of them.
        stride = math.prod(self.model.config.vision_config.patch_stride)
        places = 1 + math.ceil(self.picture_input.height / stride) * math.ceil(self.picture_input.width / stride)
        question = self._tokens(PROMPTS[self.options.detail])
        image, start, end = self.model.config.image_token_id, self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return [image] * places + [start, *question, end]

    def start(self) -> list[int]:
        """What the decoder goes on from: its two start marks and the prefix."""
        text = self.model.config.text_config
        return [text.decoder_start_token_id, text.bos_token_id, *self._tokens(self.options.beginning)]

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def _repeated(self, ids: list[int], pixels_BCHW: Tensor) -> Tensor:
        return torch.tensor(ids, device=pixels_BCHW.device).repeat(len(pixels_BCHW), 1)
