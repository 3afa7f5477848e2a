"""BLIP: its sentences against a decoding of our own, its spelling, and weights that are not what they seem."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.captioner_stand_ins import edit_json, picture, write_blip
from tests.tagger_stand_ins import Bomb
from trainer_core.errors import TrainingError
from trainer_core.tagging.blip import BlipCaptioner, BlipModel
from trainer_core.tagging.captioning import CaptionerOptions

PICTURES = [picture(seed) for seed in range(6)]


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_blip(tmp_path / "blip-image-captioning-base")


def load(folder: Path, **options) -> BlipCaptioner:
    return BlipModel("blip-base", folder, CaptionerOptions(**options)).load("cpu")


def sentences(captioner: BlipCaptioner) -> list[str]:
    return [answer.sentence for answer in captioner.answer([captioner.prepare(each) for each in PICTURES])]


def greedy_tokens(captioner: BlipCaptioner, pixels: np.ndarray, prefix: list[int], fewest: int, most: int) -> list[int]:
    """The likeliest next token of a whole forward pass, again and again; prefix included, the end left out."""
    settings = captioner.model.config.text_config
    end, ids = settings.sep_token_id, [settings.bos_token_id, *prefix]
    while len(ids) - 1 - len(prefix) < most:
        with torch.no_grad():
            logits = captioner.model(pixel_values=torch.tensor(pixels)[None], input_ids=torch.tensor([ids])).logits
        scores = logits[0, -1].clone()
        scores[ids[-1]] = -torch.inf
        for first, second, third in zip(ids, ids[1:], ids[2:], strict=False):
            if [first, second] == ids[-2:]:
                scores[third] = -torch.inf
        if len(ids) - 1 - len(prefix) < fewest:
            scores[end] = -torch.inf
        if (best := int(scores.argmax())) == end:
            break
        ids.append(best)
    return ids[1:]


@pytest.mark.parametrize("prefix", ["", "a photo of"])
@pytest.mark.parametrize(("fewest", "most"), [(0, 12), (5, 20), (9, 9)])
def test_one_beam_takes_the_likeliest_token_each_time(folder, prefix, fewest, most):
    captioner = load(folder, beams=1, prefix=prefix, fewest_tokens=fewest, most_tokens=most)
    prefix_ids = captioner.tokenizer(prefix, add_special_tokens=False).input_ids
    for shown, sentence in zip(PICTURES, sentences(captioner), strict=True):
        ids = greedy_tokens(captioner, captioner.prepare(shown), prefix_ids, fewest, most)
        # Compared by letters: how words are joined is looked at below.
        wanted = captioner.tokenizer.decode(ids).replace(" ", "")
        assert sentence.replace(" ", "") == wanted


def test_a_sentence_ends_where_the_model_ends_it_but_not_too_early(folder):
    eager = load(folder, beams=1, fewest_tokens=0, most_tokens=30)
    with torch.no_grad():
        eager.model.text_decoder.cls.predictions.bias[eager.model.config.text_config.sep_token_id] = 1000
    patient = BlipCaptioner(
        options=CaptionerOptions(beams=1, fewest_tokens=7, most_tokens=30), picture_input=eager.picture_input,
        model=eager.model, tokenizer=eager.tokenizer,
    )  # fmt: skip
    assert sentences(eager) == [""] * len(PICTURES)
    for shown, sentence in zip(PICTURES, sentences(patient), strict=True):
        wanted = greedy_tokens(patient, patient.prepare(shown), [], 7, 30)
        assert len(wanted) == 7
        assert sentence.replace(" ", "") == patient.tokenizer.decode(wanted).replace(" ", "")


@pytest.mark.parametrize("beams", [1, 3])
def test_no_token_follows_itself_and_no_three_come_twice(folder, beams, monkeypatch):
    captioner = load(folder, beams=beams, fewest_tokens=40, most_tokens=40)
    written = []
    decode = captioner.tokenizer.decode
    monkeypatch.setattr(captioner.tokenizer, "decode", lambda ids, **given: written.append(ids.tolist()) or decode(ids))
    sentences(captioner)
    for ids in written:
        assert len(ids) == 40
        assert all(one != two for one, two in zip(ids, ids[1:], strict=False))
        threes = list(zip(ids, ids[1:], ids[2:], strict=False))
        assert len(set(threes)) == len(threes)


def test_a_model_that_always_wants_one_word_still_does_not_stammer(folder):
    captioner = load(folder, beams=1, fewest_tokens=4, most_tokens=4)
    hat = captioner.tokenizer.convert_tokens_to_ids("hat")
    with torch.no_grad():
        captioner.model.text_decoder.cls.predictions.bias[hat] = 1000
    assert {sentence.count("hat") for sentence in sentences(captioner)} == {2}


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("a man ' s hat", "a man's hat"),
        ("a t - shirt , a hat .", "a t-shirt, a hat."),
        ("two dog ##s", "two dogs"),
        ("[PAD] a cat [SEP] [PAD]", "a cat"),
        ("a cat . the dog", "a cat. the dog"),
        ("a hat -", "a hat -"),
    ],
)
def test_words_are_spelled_as_people_spell_them(folder, monkeypatch, tokens, sentence):
    captioner = load(folder)
    ids = captioner.tokenizer.convert_tokens_to_ids(tokens.split())
    start = captioner.model.config.text_config.bos_token_id
    monkeypatch.setattr(captioner.model, "generate", lambda **_: torch.tensor([[start, *ids]] * len(PICTURES)))
    assert set(sentences(captioner)) == {sentence}


def test_spacing_that_the_tokenizer_leaves_is_closed(folder, monkeypatch):
    """Versions of transformers differ in how much of it their tokenizers close themselves."""
    captioner = load(folder)
    monkeypatch.setattr(
        type(captioner.tokenizer), "decode", lambda *_, **__: "a dog ' s hat , the t - shirt isn ' t red ; 'blue' ."
    )
    assert set(sentences(captioner)) == {"a dog's hat, the t-shirt isn't red; 'blue'."}


def test_the_prefix_is_read_in_lower_case(folder):
    assert sentences(load(folder, prefix="A Photo OF", most_tokens=10)) == sentences(
        load(folder, prefix="a photo of", most_tokens=10)
    )


def test_detail_changes_nothing(folder):
    assert sentences(load(folder, detail="very detailed", most_tokens=9)) == sentences(load(folder, most_tokens=9))


def test_a_bin_is_read_as_the_safetensors_file_is(tmp_path):
    one, other = write_blip(tmp_path / "a"), write_blip(tmp_path / "b", weights="pytorch_model.bin")
    assert not (other / "model.safetensors").exists()
    assert sentences(load(one, most_tokens=12)) == sentences(load(other, most_tokens=12))


def bomb(marker: Path, folder: Path) -> object:
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    return {**tensors, "text_decoder.bert.embeddings.position_ids": Bomb(marker)}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare pickle"])
@pytest.mark.parametrize("content", [lambda marker, _: Bomb(marker), bomb], ids=["alone", "among the tensors"])
def test_a_pickle_that_holds_code_is_not_run(tmp_path, zipped, content):
    folder, marker = write_blip(tmp_path / "blip", weights="pytorch_model.bin"), tmp_path / "marker"
    torch.save(content(marker, folder), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(TrainingError) as refusal:
        load(folder)
    text = str(refusal.value)
    assert not marker.exists()
    assert "\n" not in text and "does not hold just the tensors" in text and "model.safetensors" in text
    assert "weights_only" not in text  # no advice to run it
    with open(folder / "pytorch_model.bin", "rb") as file:
        torch.load(file, weights_only=False)
    assert marker.exists()  # it would have gone off


@pytest.mark.parametrize("damage", [lambda data: data[:-500], lambda data: b"", lambda data: b"<html>" + data[:99]])
def test_a_damaged_bin_is_refused(tmp_path, damage):
    folder = write_blip(tmp_path / "blip", weights="pytorch_model.bin")
    file = folder / "pytorch_model.bin"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(TrainingError, match=r"^[^\n]*pytorch_model\.bin does not hold[^\n]*\.$"):
        load(folder)


def test_a_bin_beside_a_safetensors_file_is_not_opened(folder):
    wanted = sentences(load(folder, most_tokens=9))
    (folder / "pytorch_model.bin").write_bytes(b"nothing")
    assert sentences(load(folder, most_tokens=9)) == wanted


def test_code_in_the_folder_is_not_run(folder, tmp_path):
    marker = tmp_path / "marker"
    (folder / "code.py").write_text(f"import os\nos.mkdir({str(marker)!r})\nclass Any: pass\n")
    edit_json(folder / "config.json", auto_map={"AutoConfig": "code.Any", "AutoModelForCausalLM": "code.Any"})
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["code.Any", "code.Any"]})
    edit_json(folder / "preprocessor_config.json", auto_map={"AutoImageProcessor": "code.Any"})
    assert all(sentences(load(folder, most_tokens=9)))
    assert not marker.exists()


def test_a_blip_that_answers_questions_is_refused(folder):
    edit_json(folder / "config.json", architectures=["BlipForQuestionAnswering"])
    with pytest.raises(TrainingError, match="is of a BlipForQuestionAnswering, .*blip-image-captioning-base"):
        load(folder)


@pytest.mark.parametrize(("height", "width"), [(48, 32), (32, 48), (48, 48), (16, 16)])
def test_pictures_of_another_size_than_the_models_are_refused(folder, height, width):
    edit_json(folder / "preprocessor_config.json", size={"height": height, "width": width})
    with pytest.raises(TrainingError, match=rf"config\.json scales pictures to {width}x{height}, .* reads 32x32\."):
        load(folder)


def test_the_stand_in_has_the_files_of_the_hub(folder, tmp_path):
    rest = {
        "config.json", "generation_config.json", "preprocessor_config.json", "special_tokens_map.json",
        "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    }  # fmt: skip
    assert {file.name for file in folder.iterdir()} == rest | {"model.safetensors"}
    other = write_blip(tmp_path / "other", weights="pytorch_model.bin")
    assert {file.name for file in other.iterdir()} == rest | {"pytorch_model.bin"}
    config = json.loads((folder / "config.json").read_text())
    vocabulary = (folder / "vocab.txt").read_text().split()
    assert config["text_config"]["bos_token_id"] == len(vocabulary) == config["text_config"]["vocab_size"] - 2
