"""Pictures of several LoRAs, or of one at several strengths, from one load of the base model."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from PIL import Image

from ..families.base_model import BaseModel
from ..families.loading import load_base_model, parts_of
from ..lora.adapters import Adapters
from ..lora.file import LoraFile, read_lora
from ..lora.merging import put_on
from ..picture_request import PictureRequest
from ..progress import finished
from ..training.precision import FORMATS, resolve_precision
from .drawing import draw_in_steps, encode_request


class Previewer:
    """A base model that stays loaded. LoRAs are put on and taken off; every picture is what a fresh load would draw."""

    def __init__(
        self, base_model: Path, *, clip_skip: int, device: str, precision: str, tokenizer_folders: Sequence[Path]
    ) -> None:
        """Raises TrainingError where the base model cannot be used."""
        self._device, self._clip_skip = device, clip_skip
        self._precision = resolve_precision(precision, device)
        self._model = load_base_model(base_model, FORMATS[self._precision], tokenizer_folders)
        for part in parts_of(self._model):
            part.to(device)
        self._worn: tuple[Path, list[Adapters]] | None = None

    def draw_in_steps(
        self, request: PictureRequest, lora: Path | None, strength: float = 1.0
    ) -> Generator[int, None, Image.Image]:
        """Draw one picture with a LoRA at `strength`, or of the bare base model; yields the sampler steps done.

        Raises:
            TrainingError: the LoRA cannot be read or does not fit, or the picture came out as NaN.
        """
        self._wear(lora if strength else None, strength)
        conditioning = encode_request(
            self._model, request, clip_skip=self._clip_skip, precision=self._precision, device=self._device
        )
        return (yield from draw_in_steps(self._model, request, conditioning, device=self._device))

    def draw(
        self, requests: Sequence[PictureRequest], lora: Path | None, strength: float = 1.0
    ) -> Iterator[Image.Image]:
        """Each request's picture, one at a time."""
        for request in requests:
            yield finished(self.draw_in_steps(request, lora, strength))

    def _wear(self, lora: Path | None, strength: float) -> None:
        """Exactly this LoRA at this strength; reading the file again only where it is another one."""
        if self._worn and self._worn[0] != lora:
            take_off(self._worn[1])
            self._worn = None
        if lora and not self._worn:
            self._worn = lora, apply_lora(self._model, read_lora(lora))
        if self._worn:
            for part in self._worn[1]:
                part.scale(strength)


def preview(
    lora_file: Path | None,
    base_model: Path,
    requests: Sequence[PictureRequest],
    *,
    strength: float = 1.0,
    clip_skip: int = 1,
    device: str = "cpu",
    precision: str = "auto",
    tokenizer_folders: Sequence[Path] = (),
) -> Iterator[Image.Image]:
    """Draw each request with the LoRA at `strength` (or the bare base model), one picture at a time.

    Raises:
        TrainingError: the base model or the LoRA cannot be used, or a picture came out as NaN.
    """
    previewer = Previewer(
        base_model, clip_skip=clip_skip, device=device, precision=precision, tokenizer_folders=tokenizer_folders
    )
    yield from previewer.draw(requests, lora_file, strength)


def apply_lora(model: BaseModel, lora: LoraFile, strength: float = 1.0) -> list[Adapters]:
    """Put a LoRA of any kind on the parts of a model that it was trained for.

    Raises:
        TrainingError: it has modules that the model does not have, or of another size.
    """
    return put_on(model, lora, strength)


def take_off(adapters: Sequence[Adapters]) -> None:
    """Give a model its own layers back, as they were before the adapters were attached."""
    for part in adapters:
        for target, layer in zip(part.targets, part.layers, strict=True):
            parent, _, name = target.module.rpartition(".")
            setattr(part.module.get_submodule(parent), name, layer.base)
