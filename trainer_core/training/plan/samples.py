"""Which pictures are drawn while a run trains."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...errors import TrainingError
from ...picture_request import PictureRequest, SamplerName
from .checks import require

_OPTION = re.compile(r"\s--(\S*)")
_OPTIONS: Mapping[str, tuple[str, Callable[[str], Any], str]] = {
    "n": ("negative", str, "a text"),
    "w": ("width", int, "a whole number"),
    "h": ("height", int, "a whole number"),
    "d": ("seed", int, "a whole number"),
    "s": ("steps", int, "a whole number"),
    "l": ("cfg", float, "a number"),
    "ss": ("sampler", str, "a sampler"),
}
"""Letters of kohya's sample prompts -> (field of the request, how it is read, what it must be)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplePlan:
    """Which pictures are drawn while a run trains. They change nothing in what it learns."""

    prompts: str = ""
    """One picture a line, with its own settings after it where they differ from those below:
    `mochi, cat on a sofa --n blurry --w 512 --h 768 --d 7 --s 25 --l 6 --ss dpmpp_2m_karras`
    for negative prompt, width, height, seed, steps, cfg and sampler. A line with # in front is left out. Empty: no
    samples."""
    every_epochs: int = 1
    """Draw after every N epochs, and after the last. 0: never on the way."""
    before_first: bool = True
    """Also draw before the first step, to see what the base model makes of the prompts."""
    negative: str = ""
    """Negative prompt of lines without --n."""
    width: int = 512
    """Pixels, a multiple of 8, as large as is trained: 512 for SD1.5, 1024 for SDXL."""
    height: int = 512
    """Pixels, a multiple of 8."""
    seed: int = 0
    """Seed of lines without --d, the same in every epoch, so that only the LoRA changes the picture."""
    steps: int = 20
    """Sampling steps, 1 to 1000; 20 is enough to judge by."""
    cfg: float = 7.0
    """Guidance scale, 1 to 100: 7 for SD1.5, 5 to 7 for SDXL."""
    sampler: SamplerName = "euler"
    """Sampler, by ComfyUI's name."""

    def __post_init__(self) -> None:
        require(self.every_epochs >= 0, "sample every epochs", self.every_epochs, "0 or more", "1 is usual, 0 is off")
        self._like("")
        self.requests()

    def requests(self) -> list[PictureRequest]:
        """The pictures of the prompts, in order.

        Raises:
            TrainingError: a line that cannot be read, by its number.
        """
        lines = enumerate(self.prompts.splitlines(), start=1)
        return [self._read(line.strip(), number) for number, line in lines if line.strip() and line.strip()[0] != "#"]

    def is_due(self, epoch: int, epochs: int) -> bool:
        """Whether to draw after `epoch` of `epochs`; 0 is before the first step."""
        if epoch == 0:
            return self.before_first
        return bool(self.every_epochs) and (epoch % self.every_epochs == 0 or epoch == epochs)

    def _like(self, prompt: str) -> PictureRequest:
        return PictureRequest(
            prompt=prompt,
            negative=self.negative,
            width=self.width,
            height=self.height,
            steps=self.steps,
            cfg=self.cfg,
            sampler=self.sampler,
            seed=self.seed,
        )

    def _read(self, line: str, number: int) -> PictureRequest:
        prompt, *parts = _OPTION.split(f" {line}")
        wishes = dict(_wish(letter, text.strip(), number) for letter, text in zip(parts[::2], parts[1::2], strict=True))
        try:
            return replace(self._like(prompt.strip()), **wishes)
        except TrainingError as problem:
            raise TrainingError(f"sample prompts, line {number}: {problem}") from None


def _wish(letter: str, text: str, number: int) -> tuple[str, Any]:
    if letter not in _OPTIONS:
        raise TrainingError(
            f"sample prompts, line {number}: there is no --{letter}. Use --n negative, --w width, --h height, "
            "--d seed, --s steps, --l cfg or --ss sampler."
        )
    name, read, kind = _OPTIONS[letter]
    try:
        return name, read(text)
    except ValueError:
        raise TrainingError(
            f"sample prompts, line {number}: --{letter} ({name}) must be {kind}, got {text!r}."
        ) from None
