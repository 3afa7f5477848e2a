"""Masks that lie beside their pictures: `name-masklabel.png` (OneTrainer's habit) or `name.mask.png`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from .caption_tables import NameKey, folded

_ENDINGS = ("-masklabel", ".mask")


class MaskFiles:
    """The pictures among files that end like pictures, and the masks that belong to them. Case does not matter."""

    def __init__(self, files: Sequence[Path]) -> None:
        owners = {path: owner for path in files if (owner := _owner_of(path))}
        stems = {_key(path.parent, path.stem) for path in files} if owners else set()
        self._masks: dict[NameKey, list[Path]] = defaultdict(list)
        self.pictures: list[Path] = []
        for path in files:
            owner = owners.get(path)
            if owner and _key(path.parent, owner) in stems:
                self._masks[_key(path.parent, owner)].append(path)
            else:
                self.pictures.append(path)

    def of(self, picture: Path) -> list[Path]:
        """Those of a picture, in the order in which they are tried; in its own spelling before others."""
        found = self._masks.get(_key(picture.parent, picture.stem), []) if self._masks else []
        return sorted(found, key=lambda mask: not mask.name.startswith(picture.stem))


def _owner_of(path: Path) -> str:
    """The name without suffix of the picture that a file would be the mask of; empty if it is not called a mask."""
    stem = path.stem
    return next((stem[: -len(ending)] for ending in _ENDINGS if stem.lower().endswith(ending)), "")


def _key(folder: Path, stem: str) -> NameKey:
    return str(folder), folded(stem)
