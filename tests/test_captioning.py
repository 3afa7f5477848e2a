"""What BLIP and Florence-2 have in common: options, pictures as input, folders that are no good, identity."""

from __future__ import annotations

import gc
import json
import socket
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.captioner_stand_ins import edit_json, picture, write_blip, write_florence2
from tests.resampling import bicubic, resampled
from trainer_core.dataset.folder import read_folder
from trainer_core.errors import TrainingError
from trainer_core.tagging.asking import Asking
from trainer_core.tagging.blip import BlipModel
from trainer_core.tagging.captioning import Captioner, CaptionerOptions, PictureInput
from trainer_core.tagging.florence2 import Florence2Model
from trainer_core.tagging.tagger import TagAnswer, TaggerModel

SHORT = CaptionerOptions(beams=2, most_tokens=10)


@dataclass(frozen=True)
class Kind:
    write: Callable[..., Path]
    model: type
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    side: int


BLIP = Kind(write_blip, BlipModel, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), 32)
FLORENCE2 = Kind(write_florence2, Florence2Model, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 64)


@pytest.fixture(params=[BLIP, FLORENCE2], ids=["BLIP", "Florence-2"])
def kind(request) -> Kind:
    return request.param


@pytest.fixture
def folder(kind, tmp_path) -> Path:
    return kind.write(tmp_path / "captioner")


def captioner(kind: Kind, folder: Path, options: CaptionerOptions = SHORT) -> Captioner:
    return kind.model("captioner", folder, options).load("cpu")


def sentences(tagger: Captioner, pictures: list[Image.Image]) -> list[str]:
    return [answer.sentence for answer in tagger.answer([tagger.prepare(each) for each in pictures])]


# ---------------------------------------------------------------------------------------------------------- options


def test_kohyas_lengths_and_the_authors_beams_are_the_defaults():
    options = CaptionerOptions()
    assert (options.beams, options.fewest_tokens, options.most_tokens, options.prefix) == (3, 5, 75, "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("beams", 0), ("beams", 11), ("most_tokens", 0), ("most_tokens", 401), ("fewest_tokens", -1),
        ("fewest_tokens", 76), ("prefix", "a" * 101), ("detail", "long"), ("detail", ""),
    ],
)  # fmt: skip
def test_an_option_outside_its_range_is_refused_in_one_line(field, value):
    with pytest.raises(TrainingError) as refusal:
        CaptionerOptions(**{field: value})
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("field", "value"),
    [("beams", 1), ("beams", 10), ("most_tokens", 400), ("fewest_tokens", 0), ("fewest_tokens", 75),
     ("prefix", "a" * 100), ("detail", "very detailed")],
)  # fmt: skip
def test_the_ends_of_a_range_are_allowed(field, value):
    assert getattr(CaptionerOptions(**{field: value}), field) == value


def test_the_longest_sentence_with_the_longest_prefix_fits_the_positions(kind, folder):
    options = CaptionerOptions(beams=1, fewest_tokens=400, most_tokens=400, prefix="- " * 50)
    (sentence,) = sentences(captioner(kind, folder, options), [picture(0)])
    assert len(sentence) > 400


# ----------------------------------------------------------------------------------------------------------- input


def test_pixels_are_stretched_scaled_and_normalised_by_channel(kind, folder):
    """Held against a bicubic of our own and the two published constants of each model."""
    shown = picture(3, (75, 41))
    small = resampled(np.asarray(shown), kind.side, kind.side, bicubic)
    wanted = np.stack([(small[..., c] / 255 - kind.mean[c]) / kind.deviation[c] for c in range(3)])
    pixels = captioner(kind, folder).prepare(shown)
    assert pixels.shape == (3, kind.side, kind.side) and pixels.dtype == np.float32
    # Pillow's fixed-point weights may round one step of 255 otherwise.
    assert np.abs(pixels - wanted).max() <= 1.01 / 255 / min(kind.deviation)
    assert np.abs(pixels - wanted).mean() < 1e-3


def test_pixels_are_those_of_transformers_own_processor(kind, folder):
    transformers = pytest.importorskip("transformers", minversion="5.0")
    name = {BLIP: "BlipImageProcessorPil", FLORENCE2: "CLIPImageProcessorPil"}[kind]
    shown = picture(4, (50, 90))
    (theirs,) = getattr(transformers, name).from_pretrained(folder)(shown).pixel_values
    np.testing.assert_allclose(captioner(kind, folder).prepare(shown), theirs, atol=1e-5)


@pytest.mark.parametrize("channel", range(3))
def test_red_comes_first_and_blue_last(kind, folder, channel):
    colour = tuple(255 * (place == channel) for place in range(3))
    means = captioner(kind, folder).prepare(Image.new("RGB", (9, 9), colour)).mean(axis=(1, 2))
    assert means.argmax() == channel


def test_height_and_width_are_not_mixed_up():
    shape = PictureInput(
        height=20, width=30, resample=Image.Resampling.BICUBIC, scale=1 / 255, mean=(0, 0, 0), deviation=(1, 1, 1)
    )
    pixels = shape.array(Image.linear_gradient("L").convert("RGB"))  # dark at the top
    assert pixels.shape == (3, 20, 30) and pixels[0, 0].max() < 0.1 and pixels[0, -1].min() > 0.9


@pytest.mark.parametrize("resample", list(Image.Resampling)[:4])
def test_the_folders_own_resampling_is_used(kind, folder, resample):
    edit_json(folder / "preprocessor_config.json", resample=int(resample))
    shown = picture(5)
    small = np.asarray(shown.resize((kind.side, kind.side), resample))[..., 2]
    wanted = (small / 255 - kind.mean[2]) / kind.deviation[2]
    np.testing.assert_allclose(captioner(kind, folder).prepare(shown)[2], wanted, atol=1e-5)


def test_a_size_may_be_one_number(kind, folder):
    before = captioner(kind, folder).prepare(picture(1))
    edit_json(folder / "preprocessor_config.json", size=kind.side)
    assert np.array_equal(captioner(kind, folder).prepare(picture(1)), before)


def test_settings_may_lie_where_transformers_5_puts_them(kind, folder):
    before = captioner(kind, folder).prepare(picture(1))
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    assert np.array_equal(captioner(kind, folder).prepare(picture(1)), before)


# --------------------------------------------------------------------------------------------------------- answers


def test_different_pictures_get_different_sentences(kind, folder):
    found = sentences(captioner(kind, folder), [picture(seed) for seed in range(6)])
    assert len(set(found)) > 3 and all(found)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_picture_gets_the_same_sentence_in_any_batch(kind, folder, beams):
    tagger = captioner(kind, folder, CaptionerOptions(beams=beams, most_tokens=12, prefix="a photo of"))
    pictures = [picture(seed) for seed in range(5)]
    alone = [sentences(tagger, [each])[0] for each in pictures]
    assert sentences(tagger, pictures) == alone
    assert sentences(tagger, pictures[::-1]) == alone[::-1]
    assert sentences(captioner(kind, folder, tagger.options), pictures) == alone


def test_chance_plays_no_part(kind, folder):
    found = set()
    for seed in range(3):
        torch.manual_seed(seed)
        found.add(sentences(captioner(kind, folder), [picture(0)])[0])
    assert len(found) == 1


def test_more_beams_find_other_sentences(kind, folder):
    pictures = [picture(seed) for seed in range(6)]
    by_beams = [sentences(captioner(kind, folder, CaptionerOptions(beams=n, most_tokens=12)), pictures) for n in (1, 4)]
    assert by_beams[0] != by_beams[1]


def test_a_prefix_begins_every_sentence_once(kind, folder):
    tagger = captioner(kind, folder, CaptionerOptions(beams=2, most_tokens=10, prefix="a photo of"))
    for sentence in sentences(tagger, [picture(seed) for seed in range(4)]):
        assert sentence.startswith("a photo of") and sentence.count("photo of") == 1
        assert len(sentence) > len("a photo of")


def test_spaces_around_a_prefix_do_not_count(kind, folder):
    plain, spaced = (CaptionerOptions(beams=1, prefix=prefix) for prefix in ("a photo of", "  a  photo\nof "))
    assert captioner(kind, folder, spaced).options.beginning == "a photo of"
    found = [sentences(captioner(kind, folder, options), [picture(0), picture(1)]) for options in (plain, spaced)]
    assert found[0] == found[1]
    assert kind.model("a", folder, plain).identity == kind.model("a", folder, spaced).identity


@pytest.mark.parametrize("most", [1, 4, 9])
def test_a_sentence_has_no_more_tokens_than_allowed(kind, folder, most):
    tagger = captioner(kind, folder, CaptionerOptions(beams=1, fewest_tokens=most, most_tokens=most))
    (sentence,) = sentences(tagger, [picture(0)])
    assert len(tagger.tokenizer(sentence, add_special_tokens=False).input_ids) <= most


def test_white_space_is_collapsed(kind, folder, monkeypatch):
    tagger = captioner(kind, folder)
    monkeypatch.setattr(type(tagger), "write", lambda self, pixels: ["  a \n cat\t sits .. "])
    assert sentences(tagger, [picture(0)]) == ["a cat sits .."]


def test_a_cpu_is_asked_about_one_picture_at_a_time(kind, folder):
    assert captioner(kind, folder).batch_size == 1


def test_a_gpu_gets_full_batches_only():
    """Shown on the device that has shapes and no values."""
    shapes = []

    @dataclass(frozen=True, kw_only=True)
    class Counting(Captioner):
        def write(self, pixels_BCHW):
            shapes.append((*pixels_BCHW.shape, pixels_BCHW.dtype))
            assert torch.is_inference_mode_enabled()
            return [f"picture {place}" for place in range(len(pixels_BCHW))]

    model = SimpleNamespace(device=torch.device("meta"), dtype=torch.float16)
    tagger = Counting(options=SHORT, picture_input=None, model=model, tokenizer=None)
    answers = tagger.answer([np.zeros((3, 2, 2), np.float32)] * 3)
    assert tagger.batch_size == 8 and shapes == [(8, 3, 2, 2, torch.float16)]
    assert answers == [TagAnswer(sentence=f"picture {place}") for place in range(3)]


def test_a_captioner_loads_and_answers_in_comfyuis_inference_mode(kind, folder):
    outside = sentences(captioner(kind, folder), [picture(0)])
    with torch.inference_mode():
        tagger = captioner(kind, folder)
        assert sentences(tagger, [picture(0)]) == outside
    assert sentences(tagger, [picture(0)]) == outside


def test_weights_are_full_precision_on_a_cpu_whatever_the_file_holds(kind, folder):
    edit_json(folder / "config.json", dtype="float16")
    assert captioner(kind, folder).model.dtype == torch.float32


def test_a_captioner_is_freed_with_its_last_reference(kind, folder):
    tagger = captioner(kind, folder)
    sentences(tagger, [picture(0)])
    weights = weakref.ref(tagger.model)
    del tagger
    gc.collect()
    assert weights() is None


def test_a_dataset_is_captioned(kind, folder, tmp_path):
    (tmp_path / "set").mkdir()
    for seed in range(3):
        picture(seed).save(tmp_path / "set" / f"{seed}.png")
    dataset = read_folder(tmp_path / "set")
    model: TaggerModel = kind.model("captioner", folder, SHORT)
    asking = Asking(dataset, model, device="cpu")
    assert [report.done for report in asking.steps()] == [0, 1, 2, 3]
    wanted = [sentences(captioner(kind, folder), [picture(seed)])[0] for seed in range(3)]
    assert [answer.sentence for answer in asking.answers()] == wanted
    assert model.threshold == model.character_threshold == 0


# -------------------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize(
    "options",
    [{"beams": 2}, {"fewest_tokens": 6}, {"most_tokens": 74}, {"prefix": "a"}],
    ids=lambda options: next(iter(options)),
)
def test_identity_changes_with_each_option(kind, folder, options):
    plain, other = (kind.model("captioner", folder, CaptionerOptions(**given)).identity for given in ({}, options))
    assert plain != other


def test_identity_changes_with_detail_only_where_it_is_read(kind, folder):
    plain, other = (
        kind.model("captioner", folder, CaptionerOptions(detail=detail)).identity for detail in ("short", "detailed")
    )
    assert (plain != other) == (kind is FLORENCE2)


def test_identity_changes_with_each_file_and_with_nothing_else(kind, folder):
    model = kind.model("captioner", folder, SHORT)
    seen = {model.identity}
    (folder / "README.md").write_text("words")
    same = kind.model("other name", folder, CaptionerOptions(beams=2, most_tokens=10))
    assert {model.identity, same.identity} == seen
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"):
        with open(folder / name, "ab") as file:
            file.write(b" ")
        assert model.identity not in seen
        seen.add(model.identity)


def test_blip_and_florence2_never_share_an_identity(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert len({kind.model("x", tmp_path, CaptionerOptions()).identity for kind in (BLIP, FLORENCE2)}) == 2


def test_a_missing_folder_has_no_identity(kind, tmp_path):
    with pytest.raises(TrainingError, match="cannot read .*gone"):
        _ = kind.model("captioner", tmp_path / "gone", SHORT).identity


# -------------------------------------------------------------------------------------------------------- refusals


def assert_refused(kind: Kind, folder: Path, *words: str) -> None:
    with pytest.raises(TrainingError) as refusal:
        captioner(kind, folder)
    text = str(refusal.value)
    assert "\n" not in text and text.endswith(".") and str(folder) in text and len(text) < len(str(folder)) * 2 + 300
    assert all(word in text for word in words), text


def test_a_missing_folder_is_refused_with_what_a_right_one_holds(kind, tmp_path):
    assert_refused(kind, tmp_path / "gone", "does not exist", "preprocessor_config.json", "model.safetensors")


def test_a_single_file_is_refused_with_what_a_folder_holds(kind, tmp_path):
    file = tmp_path / "model_base_caption_capfilt_large.pth"
    torch.save({"model": {"visual_encoder.cls_token": torch.zeros(1)}}, file)
    assert_refused(kind, file, "is not a folder", "config.json, preprocessor_config.json", "pytorch_model.bin")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("config.json", ["no config.json"]),
        ("preprocessor_config.json", ["preprocessor_config.json"]),
        ("model.safetensors", ["no weights", "model.safetensors or pytorch_model.bin"]),
    ],
)
def test_a_missing_file_is_named(kind, folder, name, words):
    (folder / name).unlink()
    for whole in folder.glob("processor_config.json"):
        whole.unlink()
    assert_refused(kind, folder, *words)


def test_a_folder_without_its_tokenizer_is_refused(kind, folder):
    """transformers 5 would make up a vocabulary of five entries."""
    for name in ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    assert_refused(kind, folder, "tokenizer", "Download")


def test_the_tokenizer_is_found_without_its_settings(kind, folder):
    pytest.importorskip("transformers", minversion="5.0")  # older ones need them, and the folder is refused
    wanted = sentences(captioner(kind, folder), [picture(0)])
    (folder / "tokenizer_config.json").unlink()
    assert sentences(captioner(kind, folder), [picture(0)]) == wanted


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"size": {}}'], ids=repr)
def test_a_broken_settings_file_is_refused(kind, folder, name, content):
    (folder / name).write_bytes(content)
    assert_refused(kind, folder, name)


@pytest.mark.parametrize(
    "change",
    [
        {"size": {"shortest_edge": 32}}, {"size": "32"}, {"size": 0}, {"size": -1}, {"size": 100_000}, {"size": None},
        {"image_mean": [0.5, 0.5]}, {"image_mean": 0.5}, {"image_std": None}, {"image_std": ["a", "b", "c"]},
        {"resample": 99}, {"resample": "bicubic"}, {"do_resize": False}, {"do_rescale": False}, {"do_normalize": False},
        {"do_center_crop": True, "crop_size": {"height": 16, "width": 16}},
    ],
    ids=str,
)  # fmt: skip
def test_pictures_that_cannot_be_prepared_as_asked_are_refused(kind, folder, change):
    edit_json(folder / "preprocessor_config.json", **change)
    assert_refused(kind, folder, "preprocessor_config.json", "Download")


@pytest.mark.parametrize("names", [["CLIPModel"], [], None, "CLIPModel", [3]])
def test_another_kind_of_model_is_refused(kind, folder, names):
    edit_json(folder / "config.json", architectures=names)
    assert_refused(kind, folder, "not of a", "Give a folder like")


def test_each_refuses_the_others_folder(kind, tmp_path):
    other = {BLIP: FLORENCE2, FLORENCE2: BLIP}[kind]
    assert_refused(kind, other.write(tmp_path / "other"), "is of a", "ForConditionalGeneration")


def test_weights_cut_short_are_refused_with_how_much_is_there(kind, folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(TrainingError, match=r"model\.safetensors is cut short: .* %\)"):
        captioner(kind, folder)


def test_weights_that_lack_tensors_are_refused(kind, folder):
    """transformers only warns, and the model writes at random."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file({name: t for name, t in tensors.items() if "layer_norm1.weight" not in name and "norm1" not in name},
              folder / "model.safetensors")  # fmt: skip
    assert_refused(kind, folder, "lacks", "norm1")


def test_weights_of_another_size_are_refused(kind, folder, tmp_path):
    text = json.loads((folder / "config.json").read_text())["text_config"]
    edit_json(folder / "config.json", text_config={**text, "vocab_size": text["vocab_size"] + 64})
    assert_refused(kind, folder, "does not hold just the tensors")


def test_a_tokenizer_of_another_model_is_refused(kind, folder):
    rules = json.loads((folder / "tokenizer.json").read_text())
    marks = ("[SEP]", "<image>")
    for entry in rules["added_tokens"]:
        if entry["content"] in marks:
            entry["content"] = "<other>"
    rules["model"]["vocab"] = {
        "<other>" if word in marks else word: number for word, number in rules["model"]["vocab"].items()
    }
    (folder / "tokenizer.json").write_text(json.dumps(rules))
    for name in ("vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    assert_refused(kind, folder, "tokenizer")


def test_nothing_is_asked_of_a_network(kind, folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert sentences(captioner(kind, folder), [picture(0)])
