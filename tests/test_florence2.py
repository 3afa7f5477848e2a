"""Florence-2: what it is asked, its sentences against a decoding of our own, folders that bring their own code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.captioner_stand_ins import edit_json, picture, write_florence2
from trainer_core.errors import TrainingError
from trainer_core.tagging.captioning import CaptionerOptions
from trainer_core.tagging.florence2 import Florence2Captioner, Florence2Model

PICTURES = [picture(seed) for seed in range(6)]
TASKS = {
    "short": ("<CAPTION>", "What does the image describe?"),
    "detailed": ("<DETAILED_CAPTION>", "Describe in detail what is shown in the image."),
    "very detailed": ("<MORE_DETAILED_CAPTION>", "Describe with a paragraph what is shown in the image."),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_florence2(tmp_path / "Florence-2-base")


def load(folder: Path, **options) -> Florence2Captioner:
    return Florence2Model("florence-2-base", folder, CaptionerOptions(**options)).load("cpu")


def sentences(captioner: Florence2Captioner) -> list[str]:
    return [answer.sentence for answer in captioner.answer([captioner.prepare(each) for each in PICTURES])]


# ---------------------------------------------------------------------------------------------------------- prompts


@pytest.mark.parametrize("detail", TASKS)
def test_the_prompt_is_the_picture_and_the_question_of_the_detail(folder, detail):
    captioner = load(folder, detail=detail)
    places = (64 // 32) ** 2 + 1
    image, ids = captioner.model.config.image_token_id, captioner.prompt()
    assert ids[:places] == [image] * places and image not in ids[places:]
    assert ids[places] == 0 and ids[-1] == 2
    assert captioner.tokenizer.decode(ids[places + 1 : -1]) == TASKS[detail][1]


@pytest.mark.parametrize("detail", TASKS)
def test_the_prompt_is_what_transformers_makes_of_the_task(folder, detail):
    transformers = pytest.importorskip("transformers", minversion="5.0")
    captioner = load(folder, detail=detail)
    images = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    theirs = transformers.Florence2Processor(image_processor=images, tokenizer=captioner.tokenizer)
    (ids,) = theirs(images=PICTURES[0], text=TASKS[detail][0]).input_ids
    assert captioner.prompt() == list(ids)


def test_each_detail_writes_something_else(folder):
    found = [tuple(sentences(load(folder, detail=detail, most_tokens=20))) for detail in TASKS]
    assert len(set(found)) == len(TASKS)


@pytest.mark.parametrize("side", [64, 96, 128])
def test_a_larger_picture_has_more_places_in_the_prompt(folder, side):
    edit_json(folder / "preprocessor_config.json", size={"height": side, "width": side})
    captioner = load(folder, most_tokens=9)
    assert captioner.prompt().count(captioner.model.config.image_token_id) == (side // 32) ** 2 + 1
    assert all(sentences(captioner))


# -------------------------------------------------------------------------------------------------------- sentences


def greedy_tokens(captioner: Florence2Captioner, pixels: np.ndarray, prefix: list[int], fewest: int, most: int):
    """The likeliest next token of a whole forward pass, again and again; the last may only be the end."""
    end, ids = 2, [2, 0, *prefix]
    prompt = torch.tensor([captioner.prompt()])
    while (written := len(ids) - 2 - len(prefix)) < most - 1:
        with torch.no_grad():
            logits = captioner.model(
                pixel_values=torch.tensor(pixels)[None], input_ids=prompt, decoder_input_ids=torch.tensor([ids])
            ).logits
        scores = logits[0, -1].clone()
        for first, second, third in zip(ids, ids[1:], ids[2:], strict=False):
            if [first, second] == ids[-2:]:
                scores[third] = -torch.inf
        if written < fewest:
            scores[end] = -torch.inf
        if (best := int(scores.argmax())) == end:
            break
        ids.append(best)
    return ids[2:]


@pytest.mark.parametrize("detail", TASKS)
@pytest.mark.parametrize("prefix", ["", "A photo of"])
@pytest.mark.parametrize(("fewest", "most"), [(0, 12), (6, 25)])
def test_one_beam_takes_the_likeliest_token_each_time(folder, detail, prefix, fewest, most):
    captioner = load(folder, beams=1, detail=detail, prefix=prefix, fewest_tokens=fewest, most_tokens=most)
    prefix_ids = captioner.tokenizer(prefix, add_special_tokens=False).input_ids
    for shown, sentence in zip(PICTURES, sentences(captioner), strict=True):
        ids = greedy_tokens(captioner, captioner.prepare(shown), prefix_ids, fewest, most)
        wanted = captioner.tokenizer.decode(ids, skip_special_tokens=True)
        assert sentence == " ".join(wanted.split()) and wanted


def test_the_end_comes_where_the_model_puts_it_whatever_the_files_say(folder):
    """Some of the generation_config.json files that people have give 1 for the end mark."""
    wanted = sentences(load(folder, most_tokens=30))
    edit_json(folder / "generation_config.json", bos_token_id=2, eos_token_id=1, pad_token_id=0)
    assert sentences(load(folder, most_tokens=30)) == wanted


def test_settings_for_writing_may_be_missing(folder):
    """The last token, which those settings force to be the end, is all that may differ."""
    wanted = sentences(load(folder, most_tokens=30))
    (folder / "generation_config.json").unlink()
    for sentence, before in zip(sentences(load(folder, most_tokens=30)), wanted, strict=True):
        assert sentence[:10] == before[:10]


def test_marks_and_places_are_no_part_of_a_sentence(folder, monkeypatch):
    captioner = load(folder)
    numbers = {word: captioner.tokenizer.convert_tokens_to_ids(word) for word in ("<loc_12>", "<od>", "<image>")}
    words = captioner.tokenizer(" A man's hat , near - by.", add_special_tokens=False).input_ids
    ids = [2, 0, numbers["<loc_12>"], *words, numbers["<od>"], numbers["<image>"], 2, 1, 1]
    monkeypatch.setattr(captioner.model, "generate", lambda **_: torch.tensor([ids] * len(PICTURES)))
    assert set(sentences(captioner)) == {"A man's hat , near - by."}  # as it was written, where BLIP's is closed up


# --------------------------------------------------------------------------------------------------------- refusals


def assert_refused_with_the_converted_ones(folder: Path) -> None:
    with pytest.raises(TrainingError) as refusal:
        load(folder)
    text = str(refusal.value)
    assert "\n" not in text and "code from its own folder, which is never run" in text
    assert "florence-community/Florence-2-base, -base-ft, -large or -large-ft" in text


def test_microsofts_folder_is_refused_and_its_code_not_run(folder, tmp_path):
    marker = tmp_path / "marker"
    (folder / "modeling_florence2.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    vision = {"model_type": "davit", "dim_embed": [8, 16, 16, 32], "image_pos_embed": {"max_pos_embeddings": 50}}
    edit_json(
        folder / "config.json",
        auto_map={"AutoConfig": "configuration_florence2.Florence2Config",
                  "AutoModelForCausalLM": "modeling_florence2.Florence2ForConditionalGeneration"},
        vision_config=vision,
    )  # fmt: skip
    assert_refused_with_the_converted_ones(folder)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["davit", "", None])
def test_microsofts_layout_is_refused_also_where_the_code_was_taken_out(folder, kind):
    vision = json.loads((folder / "config.json").read_text())["vision_config"]
    edit_json(folder / "config.json", vision_config={**vision, "model_type": kind})
    assert_refused_with_the_converted_ones(folder)


def test_a_converted_folder_that_still_points_at_code_is_refused(folder):
    edit_json(folder / "config.json", auto_map={"AutoConfig": "configuration_florence2.Florence2Config"})
    assert_refused_with_the_converted_ones(folder)


@pytest.mark.parametrize("vision", [None, [], "florence_vision"])
def test_a_config_without_a_tower_is_refused(folder, vision):
    edit_json(folder / "config.json", vision_config=vision)
    assert_refused_with_the_converted_ones(folder)


def test_transformers_that_do_not_know_florence2_are_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    with pytest.raises(TrainingError, match=r"^[^\n]*does not know Florence-2\. Update it to 4\.56[^\n]*BLIP\.$"):
        load(folder)


def test_the_stand_in_has_the_files_of_the_hub(folder):
    assert {file.name for file in folder.iterdir()} == {
        "config.json", "generation_config.json", "merges.txt", "model.safetensors", "preprocessor_config.json",
        "processor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json",
    }  # fmt: skip
    vision = json.loads((folder / "config.json").read_text())["vision_config"]
    assert vision["model_type"] == "florence_vision" and len(vision["depths"]) == 4
