"""WD taggers in safetensors: preparation and scores against timm's own and a second computation, bad files."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.photos import photo
from tests.tagger_stand_ins import ROWS, wd_timm_config, write_tags_csv, write_wd_timm
from trainer_core.errors import TrainingError
from trainer_core.tagging.tagger import LOWEST_SCORE
from trainer_core.tagging.wd_timm import WdTimmModel


@pytest.fixture(scope="session")
def timm():
    try:
        return importlib.import_module("timm")
    except (ImportError, RuntimeError) as problem:  # RuntimeError: a torchvision that was built for another torch
        pytest.skip(f"timm cannot be imported: {problem}")


def test_timm_scores_are_the_sigmoid_of_what_a_blue_first_picture_gives(tmp_path, timm):
    network = write_wd_timm(tmp_path, ROWS)
    picture = photo(3, 64, 40)
    square = np.full((64, 64, 3), 255.0)
    square[12:52] = np.asarray(picture)
    inputs = torch.tensor(square[:, :, [2, 1, 0]] / 127.5 - 1).float()
    with torch.inference_mode():
        logits = network(inputs.permute(2, 0, 1)[None])[0].double().numpy()
    scores = 1 / (1 + np.exp(-logits))
    tagger = WdTimmModel("wd-vit-tagger-v3", tmp_path).load("cpu")
    (answer,) = tagger.answer([tagger.prepare(picture)])
    for part, category in ((answer.general, 0), (answer.character, 4)):
        expected = {name: scores[i] for i, (name, own) in enumerate(ROWS) if own == category}
        assert part == pytest.approx({n: s for n, s in expected.items() if s >= LOWEST_SCORE}, abs=1e-4)
    assert np.ptp(list(answer.general.values())) > 0.1


def test_timm_prepares_as_its_own_transform_does(tmp_path, timm):
    from timm.data import create_transform, resolve_data_config

    write_wd_timm(tmp_path, ROWS)
    config = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    transform = create_transform(**resolve_data_config(config))
    picture = photo(4, 150, 90)
    square = Image.new("RGB", (150, 150), (255, 255, 255))
    square.paste(picture, (0, 30))
    expected = transform(square)[[2, 1, 0]].numpy()
    prepared = WdTimmModel("wd", tmp_path).load("cpu").prepare(picture)
    np.testing.assert_allclose(prepared, expected, atol=1e-5)


def test_timm_answers_several_pictures_in_order(tmp_path, timm):
    write_wd_timm(tmp_path, ROWS)
    tagger = WdTimmModel("wd", tmp_path).load("cpu")
    inputs = [tagger.prepare(photo(seed)) for seed in range(3)]
    together, alone = tagger.answer(inputs), [tagger.answer([one])[0] for one in inputs]
    assert [a.general for a in together] == [pytest.approx(a.general, abs=1e-4) for a in alone]


@pytest.mark.parametrize(
    "arguments",
    [
        {"checkpoint_path": "other.pth"},
        {"pretrained": True},
        {"pretrained_cfg": {"url": "https://example.com/x.bin"}},
        {"pretrained_cfg_overlay": {}},
        {"no_such_argument": 1},
        {"num_heads": 5},
    ],
)
def test_a_config_cannot_make_timm_fetch_or_open_anything_else(tmp_path, timm, arguments):
    write_wd_timm(tmp_path, ROWS)
    config = wd_timm_config(len(ROWS), 64)
    config["model_args"] |= arguments
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match="is not a WD tagger's config.json"):
        WdTimmModel("wd", tmp_path).load("cpu")


@pytest.mark.parametrize("name", ["no_such_network", "hf-hub:someone/something", "local-dir:/somewhere"])
def test_a_network_that_timm_does_not_have_is_said(tmp_path, timm, name):
    write_wd_timm(tmp_path, ROWS)
    config = wd_timm_config(len(ROWS), 64) | {"architecture": name}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match=f"names the network '{name}', which timm .* does not have"):
        WdTimmModel("wd", tmp_path).load("cpu")


def test_weights_of_another_network_are_refused(tmp_path, timm):
    write_wd_timm(tmp_path, ROWS)
    config = wd_timm_config(len(ROWS), 64)
    config["model_args"]["depth"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match="is not the vit_base_patch16_224 that config.json describes"):
        WdTimmModel("wd", tmp_path).load("cpu")


def test_cut_short_weights_are_refused(tmp_path, timm):
    write_wd_timm(tmp_path, ROWS)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(TrainingError, match="model.safetensors is cut short"):
        WdTimmModel("wd", tmp_path).load("cpu")


def _without(*names):
    def change(config):
        for name in names[:-1]:
            config = config[name]
        del config[names[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _without("architecture"),
        _without("num_classes"),
        _without("pretrained_cfg"),
        _without("pretrained_cfg", "mean"),
        _without("pretrained_cfg", "input_size"),
        lambda config: config["pretrained_cfg"].update(input_size=[3, 64, 32]),
        lambda config: config["pretrained_cfg"].update(input_size=[1, 64, 64]),
        lambda config: config["pretrained_cfg"].update(std=[0.5]),
        lambda config: config.update(model_args=[1]),
        lambda config: config.update(pretrained_cfg=7),
        lambda config: config.update(num_classes="many"),
    ],
)
def test_a_config_of_another_kind_is_refused(tmp_path, change):
    config = wd_timm_config(len(ROWS), 64)
    change(config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(TrainingError, match="is not a WD tagger's config.json"):
        WdTimmModel("wd", tmp_path).load("cpu")


def test_a_timm_list_of_another_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(wd_timm_config(len(ROWS), 64)))
    write_tags_csv(tmp_path / "selected_tags.csv", ROWS[:-1])
    with pytest.raises(TrainingError, match="lists 47 tags, but its tagger has 48 outputs"):
        WdTimmModel("wd", tmp_path).load("cpu")


@pytest.mark.parametrize("problem", [ImportError("No module named 'timm'"), RuntimeError("operator nms\nmissing")])
def test_a_timm_that_cannot_be_imported_is_named_with_what_works_without(tmp_path, monkeypatch, problem):
    class Refusal:
        def find_spec(self, name, path=None, target=None):
            if name == "timm":
                raise problem

    (tmp_path / "config.json").write_text(json.dumps(wd_timm_config(len(ROWS), 64)))
    write_tags_csv(tmp_path / "selected_tags.csv", ROWS)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refusal(), *sys.meta_path])
    with pytest.raises(TrainingError, match=r"needs the package timm \(.*pip install timm.*deepdanbooru or BLIP") as it:
        WdTimmModel("wd", tmp_path).load("cpu")
    assert "\n" not in str(it.value)


def test_the_timm_identity_changes_with_each_file(tmp_path):
    files = [tmp_path / name for name in ("model.safetensors", "config.json", "selected_tags.csv")]
    for file in files:
        file.write_bytes(b"x")
    seen = {WdTimmModel("wd", tmp_path).identity}
    for file in files:
        file.write_bytes(b"longer")
        seen.add(WdTimmModel("wd", tmp_path).identity)
    assert len(seen) == 4
