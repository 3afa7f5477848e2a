"""Taggers found in the folders people have them in, in the order of the places; no server asked, no weights read."""

from __future__ import annotations

import builtins
import io
import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from trainer_core.errors import TrainingError
from trainer_core.tagging import finding
from trainer_core.tagging.blip import BlipModel
from trainer_core.tagging.captioning import CaptionerOptions
from trainer_core.tagging.catalogue import CATALOGUE, recognise
from trainer_core.tagging.deepdanbooru import DeepDanbooruModel
from trainer_core.tagging.finding import find_tagger, find_taggers, standard_places, tagger_names
from trainer_core.tagging.florence2 import Florence2Model
from trainer_core.tagging.wd import WdModel
from trainer_core.tagging.wd_timm import WdTimmModel

OPTIONS = CaptionerOptions()
WD_FILES = ("model.onnx", "selected_tags.csv")
TIMM_FILES = ("model.safetensors", "config.json", "selected_tags.csv")
NAMES = [known.name for known in CATALOGUE]
SNAPSHOT = "models--SmilingWolf--wd-vit-tagger-v3/snapshots/abc"


@pytest.fixture(autouse=True)
def an_environment_without_caches(monkeypatch):
    for key in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(key, raising=False)


@pytest.fixture(autouse=True)
def onnxruntime_installed(monkeypatch):
    install(monkeypatch, "onnxruntime", "timm")


def install(monkeypatch, *packages: str) -> None:
    monkeypatch.setattr(finding, "find_spec", lambda name: name if name in packages else None)


def put(folder: Path, *names: str, config: dict | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"weights")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def places_in(root: Path, configured: tuple[Path, ...] = ()) -> finding.TaggerPlaces:
    nodes = [root / "comfy" / "custom_nodes"]
    return standard_places(root / "comfy" / "models", nodes, home=root / "home", configured=configured)


def found_in(root: Path, configured: tuple[Path, ...] = ()) -> dict:
    return find_taggers(places_in(root, configured), OPTIONS)


@pytest.mark.parametrize(
    "folder",
    [
        "comfy/models/taggers/wd-vit-tagger-v3",
        "comfy/models/taggers/WD-ViT-Tagger-v3",
        "comfy/wd14_tagger_model/SmilingWolf_wd-vit-tagger-v3",
        "home/kohya_ss/wd14_tagger_model/SmilingWolf_wd-vit-tagger-v3",
        "sd-scripts/wd14_tagger_model/SmilingWolf_wd-vit-tagger-v3",
        f"home/.cache/huggingface/hub/{SNAPSHOT}",
        f"comfy/models/blip/{SNAPSHOT}",
    ],
)
def test_a_wd_tagger_is_found_in_a_folder(tmp_path, folder):
    put(tmp_path / folder, *WD_FILES)
    model = WdModel("wd-vit-tagger-v3", tmp_path / folder / "model.onnx", tmp_path / folder / "selected_tags.csv")
    assert found_in(tmp_path) == {"wd-vit-tagger-v3": model}


@pytest.mark.parametrize("pack", ["ComfyUI-WD14-Tagger", "comfyui-wd14-tagger"])
def test_the_wd14_packs_own_downloads_are_found(tmp_path, pack):
    folder = put(
        tmp_path / "comfy/custom_nodes" / pack / "models",
        "wd-vit-tagger-v3.onnx",
        "wd-vit-tagger-v3.csv",
        "no_csv.onnx",
    )
    model = WdModel("wd-vit-tagger-v3", folder / "wd-vit-tagger-v3.onnx", folder / "wd-vit-tagger-v3.csv")
    assert found_in(tmp_path) == {"wd-vit-tagger-v3": model}


def test_folders_from_extra_model_paths_are_looked_into(tmp_path):
    folder = put(tmp_path / "elsewhere", "Mine_v2.0.onnx", "Mine_v2.0.csv", "model-resnet_custom_v3.pt")
    found = found_in(tmp_path, (folder,))
    assert found["Mine_v2.0"] == WdModel("Mine_v2.0", folder / "Mine_v2.0.onnx", folder / "Mine_v2.0.csv")
    assert found["deepdanbooru"] == DeepDanbooruModel(folder / "model-resnet_custom_v3.pt")


def test_a_wd_like_folder_of_the_users_own_goes_by_its_own_name(tmp_path):
    folder = put(tmp_path / "comfy/models/taggers/My Tagger", "best.onnx", "tags.csv", "readme.md")
    assert found_in(tmp_path) == {"My Tagger": WdModel("My Tagger", folder / "best.onnx", folder / "tags.csv")}


def test_what_macos_leaves_beside_copied_files_hides_no_tagger(tmp_path):
    folder = put(tmp_path / "comfy/models/taggers/My Tagger", "best.onnx", "._best.onnx", "tags.csv", "._tags.csv")
    put(tmp_path / "comfy/models/taggers", ".DS_Store", "._My Tagger", "._lone.onnx", "._lone.csv")
    assert found_in(tmp_path) == {"My Tagger": WdModel("My Tagger", folder / "best.onnx", folder / "tags.csv")}


@pytest.mark.parametrize("files", [("a.onnx",), ("tags.csv",), ("a.onnx", "b.onnx", "tags.csv"), ("model.onnx.part",)])
def test_a_folder_that_is_no_whole_tagger_is_passed_over(tmp_path, files):
    put(tmp_path / "comfy/models/taggers/mine", *files)
    assert found_in(tmp_path) == {}


@pytest.mark.parametrize(
    "file",
    [
        "comfy/models/taggers/deepdanbooru/model-resnet_custom_v3.pt",
        "comfy/models/taggers/model-resnet_custom_v3.pt",
        "comfy/models/blip/model-resnet_custom_v3.pt",
        "comfy/models/torch_deepdanbooru/model-resnet_custom_v3.pt",
        "home/stable-diffusion-webui/models/torch_deepdanbooru/model-resnet_custom_v3.pt",
        "stable-diffusion-webui-forge/models/torch_deepdanbooru/model-resnet_custom_v3.pt",
    ],
)
def test_deepdanbooru_is_found(tmp_path, file):
    put((tmp_path / file).parent, "model-resnet_custom_v3.pt")
    assert found_in(tmp_path) == {"deepdanbooru": DeepDanbooruModel(tmp_path / file)}


@pytest.mark.parametrize(
    ("folder", "name", "weights"),
    [
        ("comfy/models/taggers/blip-base", "blip-base", "pytorch_model.bin"),
        ("comfy/models/blip/blip-image-captioning-large", "blip-large", "model.safetensors"),
        ("comfy/models/blip/fine tuned", "fine tuned", "model.safetensors"),
        (
            "comfy/models/blip/models--Salesforce--blip-image-captioning-base/snapshots/1",
            "blip-base",
            "model.safetensors",
        ),
    ],
)
def test_blip_is_found(tmp_path, folder, name, weights):
    put(tmp_path / folder, weights, config={"model_type": "blip"})
    assert found_in(tmp_path) == {name: BlipModel(name, tmp_path / folder, OPTIONS)}


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("comfy/models/taggers/florence-2-base", "florence-2-base"),
        ("comfy/models/LLM/Florence-2-large", "florence-2-large"),
        ("comfy/models/LLM/Florence-2-base-ft", "Florence-2-base-ft"),
        ("comfy/models/florence2/large", "florence-2-large"),
        ("home/.cache/huggingface/hub/models--florence-community--Florence-2-base/snapshots/1", "florence-2-base"),
    ],
)
def test_florence_2_is_found(tmp_path, folder, name):
    put(tmp_path / folder, "model.safetensors", config={"model_type": "florence2"})
    assert found_in(tmp_path) == {name: Florence2Model(name, tmp_path / folder, OPTIONS)}


def test_florence_2_that_brings_code_of_its_own_is_passed_over(tmp_path):
    config = {"model_type": "florence2", "auto_map": {"AutoModelForCausalLM": "modeling_florence2.Florence2"}}
    put(tmp_path / "comfy/models/LLM/Florence-2-base", "model.safetensors", config=config)
    assert found_in(tmp_path) == {}


@pytest.mark.parametrize(
    "config", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe", b" " * 1_000_001 + b'{"model_type": "blip"}']
)
def test_a_config_that_is_none_is_passed_over(tmp_path, config):
    folder = put(tmp_path / "comfy/models/blip/broken", "model.safetensors")
    (folder / "config.json").write_bytes(config)
    assert found_in(tmp_path) == {}


@pytest.mark.parametrize("kind", ["blip", "florence2"])
def test_a_captioner_without_weights_is_passed_over(tmp_path, kind):
    put(tmp_path / "comfy/models/taggers/mine", "model.safetensors.part", config={"model_type": kind})
    assert found_in(tmp_path) == {}


def test_our_own_folder_comes_before_all_others(tmp_path):
    ours = put(tmp_path / "comfy/models/taggers/wd-vit-tagger-v3", *WD_FILES)
    configured = put(tmp_path / "elsewhere/wd-vit-tagger-v3", *WD_FILES).parent
    put(tmp_path / "comfy/custom_nodes/ComfyUI-WD14-Tagger/models", "wd-vit-tagger-v3.onnx", "wd-vit-tagger-v3.csv")
    put(tmp_path / "home/.cache/huggingface/hub" / SNAPSHOT, *WD_FILES)
    found = found_in(tmp_path, (configured,))
    assert [model.model for model in found.values()] == [ours / "model.onnx"]
    (ours / "model.onnx").unlink()
    assert found_in(tmp_path, (configured,))["wd-vit-tagger-v3"].model == configured / "wd-vit-tagger-v3/model.onnx"


@pytest.mark.parametrize(
    ("packages", "kind"),
    [(("onnxruntime", "timm"), WdModel), (("onnxruntime",), WdModel), (("timm",), WdTimmModel), ((), WdModel)],
)
def test_of_two_forms_the_one_whose_package_is_installed_is_taken(tmp_path, monkeypatch, packages, kind):
    install(monkeypatch, *packages)
    put(tmp_path / "comfy/models/taggers/wd-vit-tagger-v3", *TIMM_FILES)
    put(tmp_path / "home/wd14_tagger_model/wd-vit-tagger-v3", *WD_FILES)
    assert type(found_in(tmp_path)["wd-vit-tagger-v3"]) is kind


def test_a_tagger_in_one_form_is_found_whatever_is_installed(tmp_path, monkeypatch):
    install(monkeypatch)
    folder = put(tmp_path / "comfy/models/taggers/wd-vit-tagger-v3", *TIMM_FILES)
    assert found_in(tmp_path) == {"wd-vit-tagger-v3": WdTimmModel("wd-vit-tagger-v3", folder)}


@pytest.mark.parametrize(
    ("variables", "cache"),
    [
        ({"HF_HOME": "a"}, "a/hub"),
        ({"HF_HUB_CACHE": "b"}, "b"),
        ({"HUGGINGFACE_HUB_CACHE": "c"}, "c"),
        ({"XDG_CACHE_HOME": "d"}, "d/huggingface/hub"),
        ({"HF_HOME": "a", "HF_HUB_CACHE": "b"}, "b"),
    ],
)
def test_the_cache_lies_where_hugging_faces_variables_say(tmp_path, monkeypatch, variables, cache):
    for key, value in variables.items():
        monkeypatch.setenv(key, str(tmp_path / value))
    put(tmp_path / cache / SNAPSHOT, *WD_FILES)
    assert list(found_in(tmp_path)) == ["wd-vit-tagger-v3"]


def test_of_a_caches_revisions_the_main_one_is_taken_then_the_newest_whole_one(tmp_path):
    repository = tmp_path / "home/.cache/huggingface/hub/models--SmilingWolf--wd-vit-tagger-v3"
    for age, revision in enumerate(("newest", "newer", "main-one", "oldest")):
        folder = put(repository / "snapshots" / revision, *WD_FILES)
        os.utime(folder, (1e9 - age, 1e9 - age))
    put(repository / "refs", "main").joinpath("main").write_text("main-one\n")

    def revision() -> str:
        return found_in(tmp_path)["wd-vit-tagger-v3"].model.parent.name

    assert revision() == "main-one"
    (repository / "refs/main").unlink()
    assert revision() == "newest"
    (repository / "snapshots/newest/model.onnx").unlink()
    assert revision() == "newer"


def test_links_are_followed_and_those_in_a_circle_passed_over(tmp_path):
    real = put(tmp_path / "disk/weights", *WD_FILES)
    taggers = put(tmp_path / "comfy/models/taggers")
    (taggers / "wd-vit-tagger-v3").symlink_to(real, target_is_directory=True)
    (taggers / "circle").symlink_to(taggers / "circle")
    (taggers / "gone").symlink_to(tmp_path / "nowhere")
    assert list(found_in(tmp_path)) == ["wd-vit-tagger-v3"]


def test_folders_that_may_not_be_read_are_passed_over(tmp_path, monkeypatch):
    put(tmp_path / "comfy/models/taggers/secret", *WD_FILES)
    put(tmp_path / "comfy/models/taggers/open", *WD_FILES)
    real = os.listdir

    def listdir(folder):
        if Path(folder).name == "secret":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    assert list(found_in(tmp_path)) == ["open"]


def test_nothing_deeper_than_the_known_layouts_is_listed(tmp_path, monkeypatch):
    put(tmp_path / "comfy/models/taggers/collection/deep/wd-vit-tagger-v3", *WD_FILES)
    put(tmp_path / "comfy/models/checkpoints", "sd.safetensors")
    put(tmp_path / "home/.cache/huggingface/hub/models--stranger--huge/snapshots/1/a", "model.onnx")
    real, listed = os.listdir, []
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(Path(folder)) or real(folder))
    assert found_in(tmp_path) == {}
    parts = {part for folder in listed for part in folder.relative_to(tmp_path).parts}
    assert not parts & {"deep", "checkpoints", "models--stranger--huge"}


def test_only_settings_are_opened_never_weights(tmp_path, monkeypatch):
    everything_known(tmp_path)
    real, opened = io.open, []

    def note(file, *others, **named):
        opened.append(Path(file).name)
        return real(file, *others, **named)

    monkeypatch.setattr(io, "open", note)
    monkeypatch.setattr(builtins, "open", note)
    assert set(found_in(tmp_path)) == set(NAMES)
    assert set(opened) == {"config.json", "main"}


def test_no_server_is_asked_by_finding_or_naming(tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("the internet was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    everything_known(tmp_path)
    found = found_in(tmp_path)
    assert set(tagger_names(found)) == set(NAMES)
    find_tagger("blip-base", places_in(tmp_path), OPTIONS)
    with pytest.raises(TrainingError):
        find_tagger("blip-base", places_in(tmp_path / "empty"), OPTIONS)


def test_finding_takes_no_time(tmp_path):
    everything_known(tmp_path)
    for number in range(200):
        put(tmp_path / f"comfy/models/LLM/model {number}", "model.safetensors", config={"model_type": "llama"})
        put(tmp_path / f"comfy/custom_nodes/pack {number}", "node.py")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found_in(tmp_path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.2  # 0.02 s when nothing else runs


def everything_known(root: Path) -> None:
    for known in CATALOGUE:
        kind = {"blip": "blip", "florence-2": "florence2"}.get(known.family)
        names = [file.name for file in known.files]
        put(root / "comfy/models/taggers" / known.name, *names, config={"model_type": kind} if kind else None)


def test_a_downloaded_tagger_is_found_under_its_name(tmp_path):
    everything_known(tmp_path)
    assert set(found_in(tmp_path)) == set(NAMES)


def test_what_is_there_is_offered_first_then_the_rest_of_the_catalogue(tmp_path):
    put(tmp_path / "comfy/models/taggers/mine", *WD_FILES)
    put(tmp_path / "comfy/models/taggers/deepdanbooru", "model-resnet_custom_v3.pt")
    names = tagger_names(found_in(tmp_path))
    assert names == ["mine", "deepdanbooru", *(name for name in NAMES if name != "deepdanbooru")]


def test_a_tagger_is_found_by_name(tmp_path):
    put(tmp_path / "comfy/models/taggers/blip-base", "model.safetensors", config={"model_type": "blip"})
    assert find_tagger("blip-base", places_in(tmp_path), OPTIONS).name == "blip-base"


def test_a_missing_tagger_is_refused_with_the_ways_to_get_it(tmp_path):
    with pytest.raises(TrainingError) as refusal:
        find_tagger("wd-vit-tagger-v3", places_in(tmp_path), OPTIONS)
    text = str(refusal.value)
    folder = tmp_path / "comfy/models/taggers/wd-vit-tagger-v3"
    assert text == (
        "the tagger wd-vit-tagger-v3 was not found. Press Download on Auto Tag (379 MB), run `python -m trainer_core "
        f"taggers --download wd-vit-tagger-v3`, or put selected_tags.csv, model.onnx into {folder}."
    )


def test_an_unknown_tagger_is_refused_in_one_line(tmp_path):
    with pytest.raises(TrainingError, match=r"^there is no tagger 'x\\ny'\. Put .* or choose another tagger\.$"):
        find_tagger("x\ny", places_in(tmp_path), OPTIONS)


def test_recognition_keeps_families_apart():
    assert recognise("florence-2", "Base").name == "florence-2-base"
    assert recognise("blip", "base") is None
    assert recognise("wd", "") is None


@pytest.mark.parametrize("known", CATALOGUE, ids=NAMES)
def test_names_in_the_catalogue_are_plain(known):
    names = [known.name, *(file.name for file in known.files)]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) and ".." not in name for name in names)
    assert len({file.name for file in known.files}) == len(known.files)


@pytest.mark.parametrize("known", CATALOGUE, ids=NAMES)
def test_addresses_in_the_catalogue_are_https_or_below_a_mirror(known):
    below_a_mirror = rf"{re.escape(known.repository)}/resolve/(main|[0-9a-f]{{40}})/"
    begin = below_a_mirror if known.repository else r"https://github\.com/[\w./-]+/"
    for file in known.files:
        assert re.fullmatch(begin + re.escape(file.name), file.address)
        assert re.fullmatch("([0-9a-f]{64})?", file.sha256)


@pytest.mark.parametrize("known", CATALOGUE, ids=NAMES)
def test_weights_come_last_so_that_they_mean_a_whole_model(known):
    *_, last = known.files
    assert last.name.endswith((".onnx", ".pt", ".bin", ".safetensors"))
    assert not [file for file in known.files[:-1] if file.name.endswith((".onnx", ".pt", ".bin", ".safetensors"))]


def test_a_tagger_has_one_name():
    assert len(set(NAMES)) == len(NAMES)
