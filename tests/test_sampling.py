"""Pictures from a base model and a LoRA: every sampler draws, and only what was asked changes the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.tiny_models import tiny_sd15, tiny_sdxl, write_checkpoint
from trainer_core.errors import TrainingError
from trainer_core.families.loading import load_base_model
from trainer_core.lora.adapters import Adapters
from trainer_core.lora.file import lora_bytes
from trainer_core.lora.names import targets_of
from trainer_core.sampling import (
    SAMPLERS,
    PictureRequest,
    Previewer,
    SamplerName,
    draw_in_steps,
    draw_picture,
    encode_request,
    preview,
)
from trainer_core.training.objective import noise_schedule

REQUEST = PictureRequest(prompt="red cat", negative="ball", width=64, height=32, steps=3, cfg=4.0, seed=8)
FAMILY_SAMPLERS = [(family, sampler) for family in ("sd15", "v_prediction") for sampler in SAMPLERS]
BUILDERS = {
    "sd15": tiny_sd15,
    "sdxl": tiny_sdxl,
    "v_prediction": lambda: tiny_sdxl(prediction_type="v_prediction"),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: write_checkpoint(folder / f"{name}.safetensors", build()) for name, build in BUILDERS.items()}


@pytest.fixture(scope="module")
def models(checkpoints):
    return {name: load_base_model(path, torch.float32) for name, path in checkpoints.items()}


@pytest.fixture(scope="module")
def lora_file(models, tmp_path_factory) -> Path:
    """A LoRA with a strong random effect on the tiny SD1.5."""
    tensors = {}
    for module, targets in targets_of(tiny_sd15()):
        adapters = Adapters(module, targets, 4, 2.0)
        adapters.initialise(1)
        generator = torch.Generator().manual_seed(2)
        for up in adapters.parameters()[1::2]:
            up.data.normal_(generator=generator)
        tensors |= adapters.tensors()
    path = tmp_path_factory.mktemp("lora") / "strong.safetensors"
    path.write_bytes(lora_bytes(tensors, {}, torch.float32))
    return path


def draw(model, **changes) -> np.ndarray:
    picture = draw_picture(model, replace(REQUEST, **changes), clip_skip=1, precision="fp32", device="cpu")
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize("family", BUILDERS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_the_same_picture_for_the_same_seed_only(models, family, sampler):
    first = draw(models[family], sampler=sampler)
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    again = draw(models[family], sampler=sampler)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.shape == (32, 64, 3) and first.std() > 2
    assert (first == again).all()
    assert (first != draw(models[family], sampler=sampler, seed=9)).mean() > 0.1


@pytest.mark.parametrize(("family", "sampler"), FAMILY_SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 10, 300])
def test_every_sampler_finds_the_only_picture_a_perfect_model_knows(models, family, sampler, steps, monkeypatch):
    """A model that knows one picture x0 answers (x - a x0) / s as noise; samplers must land on x0, far values too.

    300 Karras levels lie so close that they share timesteps, at zero terminal SNR the first ones too.
    """
    model = models[family]
    known = 3 * torch.randn((1, 4, 4, 8), generator=torch.Generator().manual_seed(6))
    alphas = noise_schedule(model).alphas_cumprod
    drawn, first = [], []

    def answer(self, x_BCHW, t_B, conditioning, sizes):
        first.append(int(t_B[0]))
        a, s = alphas[t_B[0].long()].sqrt(), (1 - alphas[t_B[0].long()]).sqrt()
        noise = (x_BCHW - a * known) / s
        return a * noise - s * known if self.prediction_type == "v_prediction" else noise

    monkeypatch.setattr(type(model), "predict", answer)
    monkeypatch.setattr(type(model), "decode", lambda self, x: (drawn.append(x), torch.zeros(1, 3, 32, 64))[1])
    draw(model, sampler=sampler, steps=steps)
    assert first[0] == 999
    assert (drawn[0] - known).abs().mean() < 0.05 * known.abs().mean()


@pytest.mark.parametrize(("family", "sampler"), FAMILY_SAMPLERS)
def test_every_sampler_draws_a_spread_of_pictures_with_their_mean_and_width(models, family, sampler, monkeypatch):
    """A perfect model of pictures of mean 1 and deviation 0.5: what is drawn must have both, as a sampler that adds too
    much noise or too little has the mean alone. The best guess of x0 is known in closed form for a Gaussian."""
    model = models[family]
    schedule = noise_schedule(model)
    mean, width = 1.0, 0.5
    drawn = []

    def answer(self, x_BCHW, t_B, conditioning, sizes):
        alpha = schedule.alphas_cumprod[t_B[0].long()].double()
        a, s = alpha.sqrt(), (1 - alpha).sqrt()
        clean = mean + a * width**2 / (a**2 * width**2 + s**2) * (x_BCHW - a * mean)
        noise = (x_BCHW - a * clean) / s
        return (a * noise - s * clean if self.prediction_type == "v_prediction" else noise).float()

    monkeypatch.setattr(type(model), "predict", answer)
    monkeypatch.setattr(type(model), "decode", lambda self, x: (drawn.append(x), torch.zeros(1, 3, 512, 512))[1])
    draw(model, sampler=sampler, steps=60, width=512, height=512)
    assert abs(drawn[0].mean() - mean) < 0.06 * mean
    # Every answer of LCM is the mean of what is possible; without a distilled model it narrows by design.
    assert abs(drawn[0].std() - width) < 0.1 * width or sampler == "lcm"


@pytest.mark.parametrize(
    ("change", "changes_picture"),
    [
        ({"prompt": "blue ball"}, True),
        ({"negative": "cat"}, True),
        ({"cfg": 9.0}, True),
        ({"steps": 4}, True),
        ({"cfg": 1.0, "negative": "cat"}, False),
    ],
)
def test_each_wish_changes_the_picture_but_a_negative_without_guidance_does_not(models, change, changes_picture):
    usual = {key: value for key, value in change.items() if key == "cfg"} if not changes_picture else {}
    assert (draw(models["sd15"], **change) != draw(models["sd15"], **usual)).any() == changes_picture


def test_strength_0_equals_no_lora_and_strength_1_does_not(checkpoints, lora_file):
    def drawn(lora: Path | None, strength: float) -> np.ndarray:
        (picture,) = preview(lora, checkpoints["sd15"], [REQUEST], strength=strength)
        return np.asarray(picture).astype(int)

    base = drawn(None, 1.0)
    assert (drawn(lora_file, 0.0) == base).all()
    assert (drawn(lora_file, 1.0) != base).mean() > 0.1
    assert (drawn(lora_file, 0.5) != drawn(lora_file, 1.0)).mean() > 0.1


def test_previews_come_one_by_one_in_order(checkpoints, models):
    wishes = [REQUEST, replace(REQUEST, seed=9, width=32)]
    pictures = preview(None, checkpoints["sd15"], wishes)
    for wish, picture in zip(wishes, pictures, strict=True):
        assert (np.asarray(picture) == draw(models["sd15"], seed=wish.seed, width=wish.width)).all()


def test_clip_skip_reaches_the_picture(models):
    pictures = [draw_picture(models["sd15"], REQUEST, clip_skip=n, precision="fp32", device="cpu") for n in (1, 2)]
    assert (np.asarray(pictures[0]) != np.asarray(pictures[1])).any()


def test_v_prediction_models_draw_another_picture_than_epsilon_ones_of_the_same_weights(models):
    assert models["v_prediction"].prediction_type == "v_prediction"
    assert (draw(models["v_prediction"]) != draw(models["sdxl"])).mean() > 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sampler": "dpm++"}, "there is no sampler 'dpm++'. Choose one of: euler"),
        ({"width": 510}, "width must be a multiple of 8"),
        ({"height": 8}, "height must be a multiple of 8 between 16 and 4096, got 8"),
        ({"height": 8192}, "height must be a multiple of 8 between 16 and 4096"),
        ({"steps": 0}, "steps must be between 1 and 1000, got 0"),
        ({"steps": 1001}, "steps must be between 1 and 1000"),
        ({"cfg": 0.5}, "cfg must be between 1 and 100, got 0.5"),
        ({"seed": -1}, "the seed must be between 0 and 2^63 - 1, got -1"),
    ],
)
def test_bad_requests_are_refused_in_one_line(change, words):
    with pytest.raises(TrainingError) as refusal:
        replace(REQUEST, **change)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_lora_of_another_family_is_refused_before_anything_is_drawn(checkpoints, lora_file):
    with pytest.raises(TrainingError, match="Choose the (base model )?family it was trained on"):
        next(preview(lora_file, checkpoints["sdxl"], [REQUEST]))


def test_a_picture_of_nan_is_refused_instead_of_drawn_black(checkpoints):
    model = load_base_model(checkpoints["sd15"], torch.float32)
    model.unet.conv_out.bias.fill_(torch.nan)
    with pytest.raises(TrainingError, match="came out as NaN"):
        draw(model)


def test_every_sampler_that_may_be_asked_for_exists():
    assert get_args(SamplerName) == tuple(SAMPLERS)


def test_brackets_in_a_prompt_are_weights_as_in_comfyui(models):
    assert (draw(models["sd15"], prompt="(red:1.6) cat") != draw(models["sd15"], prompt="(red:0.4) cat")).any()


def test_one_load_draws_what_a_load_for_each_picture_draws(checkpoints, lora_file, tmp_path):
    """In an order in which a LoRA that stays on, or one at a strength of before, would show."""
    other = tmp_path / "other.safetensors"
    tensors = {name: -t if "lora_up" in name else t for name, t in load_file(lora_file).items()}
    other.write_bytes(lora_bytes(tensors, {}, torch.float32))
    previewer = Previewer(checkpoints["sd15"], clip_skip=1, device="cpu", precision="fp32", tokenizer_folders=())
    pairs = [(lora_file, 1.0), (None, 1.0), (lora_file, 0.5), (other, 0.5), (other, 1.0), (lora_file, 0.0)]
    together = [next(previewer.draw([REQUEST], file, strength)).tobytes() for file, strength in pairs]
    apart = [next(preview(file, checkpoints["sd15"], [REQUEST], strength=s)).tobytes() for file, s in pairs]
    assert together == apart
    assert len(set(together)) == 5


def test_drawing_can_be_left_after_any_step_and_leaves_gradients_as_they_are(models):
    conditioning = encode_request(models["sd15"], REQUEST, clip_skip=1, precision="fp32", device="cpu")
    work = draw_in_steps(models["sd15"], REQUEST, conditioning, device="cpu")
    for done in (1, 2):
        assert next(work) == done and torch.is_grad_enabled()
    work.close()


def test_a_large_picture_is_decoded_in_tiles_that_do_not_show(models, monkeypatch):
    """As no tile of it sees the whole picture, tiles differ a little; a seam would differ a lot."""
    whole = draw(models["sd15"], width=256, height=192)
    calls = []
    forward = models["sd15"].vae.decoder.forward
    monkeypatch.setattr(models["sd15"].vae.decoder, "forward", lambda *a, **k: (calls.append(1), forward(*a, **k))[1])
    monkeypatch.setattr("trainer_core.sampling.drawing._TILE", 128)
    tiled = draw(models["sd15"], width=256, height=192)
    assert len(calls) == 6
    assert np.abs(whole - tiled).mean() < 0.1 * whole.std()


def test_a_decoder_without_enough_memory_tries_again_in_smaller_tiles(models, monkeypatch):
    decode, tiles = type(models["sd15"]).decode, []

    def short_of_memory(self, x_BCHW):
        tiles.append(self.vae.tile_sample_min_size)
        if len(tiles) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return decode(self, x_BCHW)

    expected = draw(models["sd15"])
    monkeypatch.setattr(type(models["sd15"]), "decode", short_of_memory)
    assert (draw(models["sd15"]) == expected).all()
    assert tiles == [1536, 512]
