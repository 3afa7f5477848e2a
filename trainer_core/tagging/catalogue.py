"""The taggers that are known by name: which files they are, where these lie, and what they may be used for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["wd", "deepdanbooru", "blip", "florence-2"]

DEEPDANBOORU_FILE = "model-resnet_custom_v3.pt"
WD_TAGS = "selected_tags.csv"


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """A file as its server has it."""

    name: str
    """A plain file name, also of the copy on disk."""
    address: str
    """Below a Hugging Face mirror, such as "SmilingWolf/wd-vit-tagger-v3/resolve/main/model.onnx", or a whole https
    address that no mirror has."""
    sha256: str = ""
    """64 hex digits; empty where only the server knows it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownTagger:
    """A tagger of the catalogue."""

    name: str
    """As people choose it; also the name of its folder."""
    family: Family
    repository: str
    """On Hugging Face, such as "SmilingWolf/wd-vit-tagger-v3"; empty where it lies elsewhere."""
    folder_names: tuple[str, ...] = ()
    """Other names its folder has on people's disks, without regard to case."""
    files: tuple[RemoteFile, ...]
    """All it takes to run; the weights last, so that a folder that holds them is complete."""
    size_bytes: int
    """Of all files, as the server's page shows it: to the megabyte, above 1 GB to ten. 0 where it was not seen."""
    licence: str
    note: str

    @property
    def megabytes(self) -> int:
        """Size in units of 1,000,000 bytes, as browsers show it; 0 where it is not known."""
        return round(self.size_bytes / 1e6)


def recognise(family: Family, folder_name: str) -> KnownTagger | None:
    """The tagger of a family that goes by the name of a folder or of a file without its ending."""
    name = folder_name.casefold()
    for known in CATALOGUE:
        its_names = (known.name, known.repository.replace("/", "_"), known.repository.split("/")[-1])
        if known.family == family and name in {n.casefold() for n in (*its_names, *known.folder_names)}:
            return known
    return None


def _from_hugging_face(repository: str, names: tuple[str, ...], revision: str = "main") -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name=name, address=f"{repository}/resolve/{revision}/{name}") for name in names)


def _wd(name: str, megabytes: int, note: str) -> KnownTagger:
    repository = f"SmilingWolf/{name}"
    return KnownTagger(
        name=name,
        family="wd",
        repository=repository,
        files=_from_hugging_face(repository, (WD_TAGS, "model.onnx")),
        size_bytes=megabytes * 1_000_000,
        licence="Apache-2.0",
        note=note,
    )


def _blip(size: str, weights: str, megabytes: int) -> KnownTagger:
    repository = f"Salesforce/blip-image-captioning-{size}"
    names = (
        "config.json", "preprocessor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
        "vocab.txt", weights,
    )  # fmt: skip
    return KnownTagger(
        name=f"blip-{size}",
        family="blip",
        repository=repository,
        files=_from_hugging_face(repository, names),
        size_bytes=megabytes * 1_000_000,
        licence="BSD-3-Clause",
        note="Writes a sentence.",
    )


def _florence(size: str, revision: str, weights_sha256: str, megabytes: int) -> KnownTagger:
    repository = f"florence-community/Florence-2-{size}"
    names = (
        "added_tokens.json", "config.json", "generation_config.json", "merges.txt", "preprocessor_config.json",
        "processor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json",
    )  # fmt: skip
    address = f"{repository}/resolve/{revision}/model.safetensors"
    weights = RemoteFile(name="model.safetensors", address=address, sha256=weights_sha256)
    return KnownTagger(
        name=f"florence-2-{size}",
        family="florence-2",
        repository=repository,
        folder_names=(size,),
        files=(*_from_hugging_face(repository, names, revision), weights),
        size_bytes=megabytes * 1_000_000,
        licence="MIT",
        note="Writes a sentence. The repository converted for transformers: folders of microsoft/Florence-2 bring code "
        "of their own, which is never run.",
    )


_DEEPDANBOORU = KnownTagger(
    name="deepdanbooru",
    family="deepdanbooru",
    repository="",
    files=(
        RemoteFile(
            name=DEEPDANBOORU_FILE,
            address=f"https://github.com/AUTOMATIC1111/TorchDeepDanbooru/releases/download/v1/{DEEPDANBOORU_FILE}",
            sha256="3841542cda4dd037da12a565e854b3347bb2eec8fbcd95ea3941b2c68990a355",
        ),
    ),
    size_bytes=160_956_544 * 4,
    licence="MIT",
    note="9,176 Danbooru tags; needs no package. Lies on GitHub, whatever mirror is chosen.",
)

_V2 = "Danbooru tags. Needs onnxruntime."
_V3 = "10,861 Danbooru tags, newer than those of v2. Needs onnxruntime."

CATALOGUE = (
    _wd("wd-vit-tagger-v3", 379, _V3),
    _wd("wd-swinv2-tagger-v3", 467, _V3),
    _wd("wd-convnext-tagger-v3", 395, _V3),
    _wd("wd-vit-large-tagger-v3", 1260, _V3),
    _wd("wd-eva02-large-tagger-v3", 1260, _V3),
    _wd("wd-v1-4-moat-tagger-v2", 326, _V2),
    _wd("wd-v1-4-swinv2-tagger-v2", 455, _V2),
    _wd("wd-v1-4-convnextv2-tagger-v2", 388, _V2),
    _wd("wd-v1-4-convnext-tagger-v2", 388, _V2),
    _wd("wd-v1-4-vit-tagger-v2", 373, _V2),
    _DEEPDANBOORU,
    _blip("base", "pytorch_model.bin", 990),
    _blip("large", "model.safetensors", 1880),
    _florence(
        "base",
        revision="00921df66db728a9ceb750f5eca43e5c203a2051",
        weights_sha256="62f3e696da74f8869a68ddb529a9b3e14eb25b21c592cb3dea6179bf944df6a0",
        megabytes=463,
    ),
    _florence(
        "large",
        revision="4271c66b88cdbc05735372ec13b2360108de5317",
        weights_sha256="7715423d6549bf1e71188bdd84f4ac960cc0597886af24a5ef7b66f128660685",
        megabytes=1554,
    ),
)
"""Those people choose most first."""
