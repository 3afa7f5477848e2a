"""What the captioners BLIP and Florence-2 share: how sentences are written, how pictures become the model's input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import TrainingError
from ..families.sending import send
from .tagger import TagAnswer

NO_REPEATED_TOKENS = 3
"""So many tokens in a row are not written twice in a sentence, as in Florence-2's own settings: "on top of a hat on
top of a hat" is what captioners write when they are lost."""

Detail = Literal["short", "detailed", "very detailed"]

_MOST_BEAMS = 10
_MOST_TOKENS = 400
_LONGEST_PREFIX = 100
"""Letters. With `_MOST_TOKENS` they fit BLIP's 512 positions, and Florence-2's 1024 at four bytes a letter."""
_BATCH_ON_GPU = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionerOptions:
    """How sentences are written. Never by chance: the same picture gets the same sentence.

    Raises:
        TrainingError: a value outside its range.
    """

    beams: int = 3
    """Sentences tried side by side, 1 to 10: more of them find a likelier one and take longer. BLIP's authors use 3."""
    fewest_tokens: int = 5
    """Tokens (words or parts of words) written before a sentence may end, not counting the prefix. kohya's default."""
    most_tokens: int = 75
    """A longer sentence is cut off here, not counting the prefix. 75 is what CLIP reads at a time."""
    prefix: str = ""
    """How every sentence begins, such as "a photo of"; the model goes on from there. Spaces around it do not count."""
    detail: Detail = "detailed"
    """Florence-2 only: one sentence, several, or a paragraph, which may need more than 75 tokens."""

    def __post_init__(self) -> None:
        if not 1 <= self.beams <= _MOST_BEAMS:
            raise TrainingError(f"the number of beams is {self.beams}. Choose 1 to {_MOST_BEAMS}.")
        if not 1 <= self.most_tokens <= _MOST_TOKENS:
            raise TrainingError(f"sentences may have {self.most_tokens} tokens. Choose 1 to {_MOST_TOKENS}.")
        if not 0 <= self.fewest_tokens <= self.most_tokens:
            raise TrainingError(
                f"sentences must have at least {self.fewest_tokens} tokens. Choose 0 to {self.most_tokens}, the most "
                "they may have."
            )
        if len(self.prefix) > _LONGEST_PREFIX:
            raise TrainingError(f"the prefix has {len(self.prefix)} letters. Shorten it to {_LONGEST_PREFIX} or fewer.")
        if self.detail not in get_args(Detail):
            raise TrainingError(f"there is no detail {self.detail!r}. Choose {', '.join(get_args(Detail))}.")

    @property
    def beginning(self) -> str:
        """The prefix as the model is given it."""
        return " ".join(self.prefix.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureInput:
    """How a model wants its pictures. Done here with PIL and NumPy: transformers' own image processors differ from
    version to version, and the newer ones need torchvision."""

    height: int
    width: int
    resample: Image.Resampling
    scale: float
    """Takes values of 0..255 to 0..1."""
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def array(self, picture: Image.Image) -> np.ndarray:
        """An RGB picture as float32 (3, height, width): stretched to that size, scaled, normalised by channel."""
        pixels = np.asarray(picture.resize((self.width, self.height), self.resample), np.float32)
        normalised = (pixels * np.float32(self.scale) - np.float32(self.mean)) / np.float32(self.deviation)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Captioner(ABC):
    """A loaded captioner: a `Tagger` whose answers are sentences."""

    options: CaptionerOptions
    picture_input: PictureInput
    model: Any
    """Of transformers."""
    tokenizer: Any

    @property
    def batch_size(self) -> int:
        return 1 if self.model.device.type == "cpu" else _BATCH_ON_GPU

    def prepare(self, picture: Image.Image) -> np.ndarray:
        return self.picture_input.array(picture)

    def answer(self, prepared: Sequence[np.ndarray]) -> list[TagAnswer]:
        # Rounding differs between batches of different sizes, so the last one of a dataset is filled up.
        filled = [*prepared, *[prepared[-1]] * (-len(prepared) % self.batch_size)]
        pixels_BCHW = send(torch.from_numpy(np.stack(filled)), self.model.device).to(self.model.dtype)
        with torch.inference_mode():
            sentences = self.write(pixels_BCHW)[: len(prepared)]
        return [TagAnswer(sentence=" ".join(sentence.split())) for sentence in sentences]

    @abstractmethod
    def write(self, pixels_BCHW: Tensor) -> list[str]:
        """A sentence for each picture."""
