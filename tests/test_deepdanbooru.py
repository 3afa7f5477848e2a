"""DeepDanbooru: the network against facts of the public one and a second computation, the file, the preparation."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.photos import photo
from tests.resampling import lanczos, resampled
from tests.tagger_stand_ins import Bomb, write_deepdanbooru
from trainer_core.errors import TrainingError
from trainer_core.tagging.deepdanbooru import DeepDanbooruModel
from trainer_core.tagging.deepdanbooru_network import DeepDanbooruNetwork, SameConv2d
from trainer_core.tagging.tagger import LOWEST_SCORE

NAMES = ["1girl", "long_hair", "rating:safe", "hatsune_miku", "rating:questionable", "^_^", "saber_(fate)", "rating"]

# Read off TorchDeepDanbooru's deep_danbooru_model.py, whose 179 convolutions are written out one by one.
NAMES_AND_SHAPES = "dc3ca7eb1bd12fa7f2b5cbc8763a89686d6d0979e88f168d94718292b8678d28"
STRIDED = [0, 11, 13, 36, 38, 98, 100, 158, 160, 168, 170]
SHORTCUT_OF_BLOCK = {2: 1, 12: 11, 37: 36, 97: 100, 159: 158, 169: 168}
"""By the number of a block's first convolution."""


@pytest.fixture(scope="module")
def true_network():
    with torch.device("meta"):
        return DeepDanbooruNetwork(width=64, tags=9176)


@pytest.fixture(scope="module")
def thin(tmp_path_factory):
    """A loaded stand-in and its weights."""
    file = tmp_path_factory.mktemp("thin") / "model-resnet_custom_v3.pt"
    weights = write_deepdanbooru(file, NAMES)
    return DeepDanbooruModel(file).load("cpu"), weights


def test_the_network_has_the_public_ones_parameters(true_network):
    assert sum(parameter.numel() for parameter in true_network.parameters()) == 160_956_544


def test_the_network_has_the_public_ones_names_and_shapes_in_its_order(true_network):
    lines = [f"{name} {tuple(value.shape)}" for name, value in true_network.state_dict().items()]
    assert len(lines) == 2 * 179 - 1
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == NAMES_AND_SHAPES


def test_the_network_takes_the_public_ones_strides(true_network):
    strides = [true_network.get_submodule(f"n_Conv_{number}").stride for number in range(179)]
    assert [number for number, stride in enumerate(strides) if stride == (2, 2)] == STRIDED
    assert set(strides) == {(1, 1), (2, 2)}


@pytest.mark.parametrize(("height", "width"), [(128, 128), (256, 128), (512, 512)])
def test_the_forward_equals_a_second_computation(thin, height, width):
    _, weights = thin
    network = DeepDanbooruNetwork(width=4, tags=len(NAMES))
    network.load_state_dict(weights)
    pixels = np.random.default_rng(1).random((2, height, width, 3), np.float32)
    with torch.inference_mode():
        ours = network(torch.from_numpy(pixels))
    assert ours.std() > 0.05  # else anything would be equal to anything
    torch.testing.assert_close(ours, _computed(weights, pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(6, 7), (7, 6), (8, 8)])
def test_padding_is_tensorflows(kernel, stride, size):
    convolution = SameConv2d(1, 1, kernel, stride=stride)
    picture = torch.randn(1, 1, *size)
    with torch.inference_mode():
        ours = convolution(picture)[0, 0].numpy()
    outputs = [int(np.ceil(length / stride)) for length in size]
    before = [max((o - 1) * stride + kernel - length, 0) // 2 for o, length in zip(outputs, size, strict=True)]
    weight, bias = convolution.weight[0, 0].detach().numpy(), convolution.bias.item()
    expected = np.full(outputs, bias)
    for y, x in np.ndindex(*outputs):
        for v, u in np.ndindex(kernel, kernel):
            row, column = y * stride + v - before[0], x * stride + u - before[1]
            if 0 <= row < size[0] and 0 <= column < size[1]:
                expected[y, x] += weight[v, u] * picture[0, 0, row, column].item()
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_ratings_are_dropped_and_names_kept_as_the_list_has_them(thin):
    tagger, weights = thin
    inputs = tagger.prepare(photo(3))
    (answer,) = tagger.answer([inputs])
    scores = _computed(weights, inputs[None])[0]
    expected = {n: s for n, s in zip(NAMES, scores.tolist(), strict=True) if not n.startswith("rating:")}
    assert answer.general == pytest.approx({n: s for n, s in expected.items() if s >= LOWEST_SCORE}, abs=1e-5)
    assert list(answer.general.values()) == sorted(answer.general.values(), reverse=True)
    assert {"^_^", "saber_(fate)", "rating"} <= answer.general.keys()
    assert not answer.character and not answer.sentence


def test_pictures_asked_at_once_get_the_answers_they_get_alone(thin):
    tagger, _ = thin
    inputs = [tagger.prepare(photo(seed)) for seed in range(3)]
    together, alone = tagger.answer(inputs), [tagger.answer([one])[0] for one in inputs]
    assert [a.general for a in together] == [pytest.approx(a.general, abs=1e-4) for a in alone]
    assert together[0].general != together[1].general


@pytest.mark.parametrize(("width", "height"), [(512, 300), (301, 512), (512, 511), (512, 512)])
def test_a_picture_that_fits_is_filled_with_its_border(thin, width, height):
    picture = photo(4, width, height)
    pixels = np.asarray(picture, np.float32) / 255
    left, top = 256 - width // 2, 256 - height // 2
    expected = np.empty((512, 512, 3), np.float32)
    for y in range(512):
        for x in range(512):
            expected[y, x] = pixels[min(max(y - top, 0), height - 1), min(max(x - left, 0), width - 1)]
    prepared = thin[0].prepare(picture)
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, expected, atol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(700, 400), (240, 320), (98, 98)])
def test_pictures_are_resized_with_their_aspect_kept(thin, width, height):
    picture = photo(5, width, height)
    inner_width, inner_height = 512 * width // max(width, height), 512 * height // max(width, height)
    expected = resampled(np.asarray(picture), inner_width, inner_height, lanczos)
    left, top = 256 - inner_width // 2, 256 - inner_height // 2
    inside = thin[0].prepare(picture)[top : top + inner_height, left : left + inner_width] * 255
    assert np.abs(inside - expected).max() <= 1.01


def test_a_line_of_pixels_is_a_picture_too(thin):
    assert thin[0].prepare(Image.new("RGB", (4000, 1), "red")).shape == (512, 512, 3)


def test_the_guides_threshold_holds_for_characters_too(tmp_path):
    model = DeepDanbooruModel(tmp_path / "x.pt")
    assert (model.name, model.threshold, model.character_threshold) == ("deepdanbooru", 0.6, 0.6)


def test_the_identity_changes_with_the_files_name_size_and_time(tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(b"one")
    os.utime(file, ns=(0, 0))
    seen = {DeepDanbooruModel(file).identity, DeepDanbooruModel(file, "another name").identity}
    assert len(seen) == 1
    os.utime(file, ns=(0, 1))
    seen.add(DeepDanbooruModel(file).identity)
    file.write_bytes(b"other")
    os.utime(file, ns=(0, 1))
    seen.add(DeepDanbooruModel(file).identity)
    seen.add(DeepDanbooruModel(file.rename(tmp_path / "renamed.pt")).identity)
    assert len(seen) == 4


def _tensor(file):
    torch.save(torch.zeros(3), file)


def _no_tags(file):
    weights = write_deepdanbooru(file, NAMES)
    torch.save(dict(weights), file)


def _too_few_tags(file):
    weights = write_deepdanbooru(file, NAMES)
    torch.save({**weights, "tags": NAMES[:-1]}, file)


def _tags_that_are_no_names(file):
    weights = write_deepdanbooru(file, NAMES)
    torch.save({**weights, "tags": list(range(len(NAMES)))}, file)


def _one_weight_missing(file):
    weights = write_deepdanbooru(file, NAMES)
    torch.save({**{name: w for name, w in weights.items() if name != "n_Conv_100.bias"}, "tags": NAMES}, file)


def _one_weight_more(file):
    weights = write_deepdanbooru(file, NAMES)
    torch.save({**weights, "n_Conv_178.bias": torch.zeros(len(NAMES)), "tags": NAMES}, file)


def _another_network(file):
    torch.save({"conv1.weight": torch.zeros(4, 3, 7, 7), "tags": NAMES}, file)


def _cut_short(file):
    write_deepdanbooru(file, NAMES)
    file.write_bytes(file.read_bytes()[:-1000])


def _words(file):
    file.write_text("<html>404</html>")


@pytest.mark.parametrize(
    "write",
    [_tensor, _no_tags, _too_few_tags, _tags_that_are_no_names, _one_weight_missing, _one_weight_more,
     _another_network, _cut_short, _words],
)  # fmt: skip
def test_what_is_not_this_model_is_refused_in_one_line(tmp_path, write):
    file = tmp_path / "model-resnet_custom_v3.pt"
    write(file)
    with pytest.raises(TrainingError, match=r"is damaged, or is not DeepDanbooru's .* another tagger\.$") as refused:
        DeepDanbooruModel(file).load("cpu")
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(TrainingError, match="there is no file .*gone.pt"):
        DeepDanbooruModel(tmp_path / "gone.pt").load("cpu")
    with pytest.raises(TrainingError, match="cannot read .*gone.pt"):
        _ = DeepDanbooruModel(tmp_path / "gone.pt").identity


def test_a_file_with_code_in_it_is_refused_and_the_code_not_run(tmp_path):
    file = tmp_path / "model-resnet_custom_v3.pt"
    weights = write_deepdanbooru(file, NAMES)
    torch.save({**weights, "tags": NAMES, "more": Bomb(tmp_path / "boom")}, file)
    with pytest.raises(TrainingError, match="is damaged, or is not"):
        DeepDanbooruModel(file).load("cpu")
    assert not (tmp_path / "boom").exists()


def _computed(weights, pixels):
    """Scores (B, tags) of pixels (B, height, width, 3), block by block with paddings written out, even sizes only."""

    def convolved(x, number):
        weight, bias = weights[f"n_Conv_{number}.weight"], weights.get(f"n_Conv_{number}.bias")
        stride = 2 if number in STRIDED else 1
        before, after = {(7, 2): (2, 3), (3, 1): (1, 1), (3, 2): (0, 1)}.get((weight.shape[-1], stride), (0, 0))
        return F.conv2d(F.pad(x, [before, after, before, after]), weight, bias, stride=stride)

    x = convolved(torch.from_numpy(pixels).movedim(3, 1), 0).relu()
    x = F.max_pool2d(F.pad(x, [0, 1, 0, 1]), 3, 2)  # zeros do no harm below: there is nothing negative
    number = 2
    while number < 178:
        y = x
        for step in range(3):
            y = convolved(y.relu() if step else y, number + step)
        shortcut = SHORTCUT_OF_BLOCK.get(number)
        x = (y + (x if shortcut is None else convolved(x, shortcut))).relu()
        number += 3
        number += number in SHORTCUT_OF_BLOCK.values()
    return torch.sigmoid(convolved(x, 178).mean(dim=(2, 3)))
