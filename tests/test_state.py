"""Resumable state: everything an optimizer may keep goes to disk and back exactly, and damage is noticed."""

import json
import math

import pytest
import torch
from safetensors import safe_open
from torch import nn

from trainer_core.errors import TrainingError
from trainer_core.training.state import load_state, save_state

NO_SCALER = torch.amp.GradScaler("cpu", enabled=False)

VALUES = {
    "float32": torch.tensor([0.1, -0.0, math.inf, 1e-45]),
    "bfloat16": torch.tensor([0.1, 3.0], dtype=torch.bfloat16),
    "float16": torch.tensor([0.1, 3.0], dtype=torch.float16),
    "float64": torch.tensor([0.1, 1 / 3], dtype=torch.float64),
    "uint8": torch.arange(256, dtype=torch.uint8),
    "int64": torch.tensor([2**62 + 1]),
    "bool": torch.tensor([True, False]),
    "no dimension": torch.tensor(7.0),
    "empty": torch.zeros(0, 3),
    "not contiguous": torch.arange(6.0).reshape(2, 3).T,
    "step": torch.tensor(5.0),
    "a number": 0.1 + 0.2,
    "infinity": math.inf,
    "a large whole number": 2**70 + 1,
    "yes": True,
    "one": 1,
    "one and a bit": 1.0,
    "nothing": None,
    "a text": "größer",
    "a tuple": (0.9, 0.999),
    "a list": [1, (2, [3])],
    "nested": {"quantised": {"map": torch.tensor([0.5]), "size": 3}},
}


class Keeping(torch.optim.SGD):
    """An optimizer that keeps whatever it is given."""


def optimizer_of(*sizes):
    return Keeping([{"params": [nn.Parameter(torch.zeros(size))], "base_rate": 1.0} for size in sizes], lr=1.0)


def weights_of(optimizer):
    return [group["params"][0] for group in optimizer.param_groups]


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype and torch.equal(found, expected)
        assert torch.equal(found.signbit(), expected.signbit())
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("name", VALUES)
def test_what_an_optimizer_keeps_of_a_parameter_comes_back_exactly(name, tmp_path):
    optimizer = optimizer_of(2, 3)
    optimizer.state[weights_of(optimizer)[1]] = {name: VALUES[name], "other": 1.5}
    save_state(tmp_path, 3, [], optimizer, NO_SCALER)
    restored = optimizer_of(2, 3)
    assert load_state(tmp_path, [], restored, NO_SCALER) == 3
    first, second = weights_of(restored)
    assert not restored.state[first]
    assert_same(restored.state[second], {name: VALUES[name], "other": 1.5})


@pytest.mark.parametrize("name", VALUES)
def test_what_an_optimizer_keeps_of_a_group_comes_back_exactly(name, tmp_path):
    optimizer = optimizer_of(2, 3)
    optimizer.param_groups[1]["kept"] = VALUES[name]
    save_state(tmp_path, 3, [], optimizer, NO_SCALER)
    restored = optimizer_of(2, 3)
    load_state(tmp_path, [], restored, NO_SCALER)
    assert "kept" not in restored.param_groups[0]
    assert_same(restored.param_groups[1]["kept"], VALUES[name])


def test_the_parameters_stay_those_of_the_new_run(tmp_path):
    save_state(tmp_path, 1, [], optimizer_of(2), NO_SCALER)
    restored = optimizer_of(2)
    (weight,) = weights_of(restored)
    load_state(tmp_path, [], restored, NO_SCALER)
    assert weights_of(restored)[0] is weight


def test_tensors_go_to_the_device_of_their_parameter_and_torchs_count_of_steps_stays_on_the_cpu(tmp_path):
    optimizer = optimizer_of(2)
    optimizer.state[weights_of(optimizer)[0]] = {"mean": torch.ones(2), "step": torch.tensor(3.0)}
    optimizer.param_groups[0]["numerator"] = torch.ones(1)
    save_state(tmp_path, 1, [], optimizer, NO_SCALER)
    restored = Keeping([nn.Parameter(torch.zeros(2, device="meta"))], lr=1.0)
    load_state(tmp_path, [], restored, NO_SCALER)
    kept = restored.state[weights_of(restored)[0]]
    assert kept["mean"].is_meta and not kept["step"].is_meta and restored.param_groups[0]["numerator"].is_meta


def test_how_an_optimizer_computes_is_its_own_and_not_the_states(tmp_path):
    """States of older versions have AdamW in several passes, which half precision's scaler does not reach."""
    old, new = (torch.optim.AdamW([nn.Parameter(torch.ones(2))], fused=fused) for fused in (None, True))
    for parameter in weights_of(old):
        parameter.grad = torch.ones(2)
    old.step()
    save_state(tmp_path, 1, [], old, NO_SCALER)
    load_state(tmp_path, [], new, NO_SCALER)
    assert new.param_groups[0]["fused"] and new.state[weights_of(new)[0]]["step"] == 1
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(weights_of(new)[0].sum()).backward()
    scaler.step(new)
    assert new.state[weights_of(new)[0]]["step"] == 2


def test_tensors_that_share_memory_are_written_all_the_same(tmp_path):
    optimizer = optimizer_of(2, 3)
    shared = torch.arange(4.0)
    for weight in weights_of(optimizer):
        optimizer.state[weight] = {"map": shared, "part": shared[1:]}
    save_state(tmp_path, 1, [], optimizer, NO_SCALER)
    restored = optimizer_of(2, 3)
    load_state(tmp_path, [], restored, NO_SCALER)
    for weight in weights_of(restored):
        assert_same(restored.state[weight], {"map": shared, "part": shared[1:]})


def test_a_state_is_of_the_moment_it_was_written(tmp_path):
    optimizer = optimizer_of(2)
    average = torch.ones(2)
    optimizer.state[weights_of(optimizer)[0]] = {"mean": torch.ones(2)}
    save_state(tmp_path, 1, [], optimizer, NO_SCALER, {"average": average})
    optimizer.state[weights_of(optimizer)[0]]["mean"].add_(1)
    average.add_(1)
    load_state(tmp_path, [], optimizer, NO_SCALER, {"average": average})
    assert torch.equal(average, torch.ones(2))
    assert torch.equal(optimizer.state[weights_of(optimizer)[0]]["mean"], torch.ones(2))


def test_extra_tensors_are_filled_in_place(tmp_path):
    extra = {"lora.down": torch.randn(3, 2), "count": torch.tensor(4, dtype=torch.int64)}
    save_state(tmp_path, 1, [], optimizer_of(2), NO_SCALER, extra)
    restored = {name: torch.zeros_like(tensor) for name, tensor in extra.items()}
    load_state(tmp_path, [], optimizer_of(2), NO_SCALER, restored)
    assert all(torch.equal(restored[name], extra[name]) for name in extra)


@pytest.mark.parametrize("extra", [None, {"other": torch.zeros(2)}, {"average": torch.zeros(3)}])
def test_extra_tensors_that_are_not_those_of_the_run_are_refused(extra, tmp_path):
    save_state(tmp_path, 1, [], optimizer_of(2), NO_SCALER, {"average": torch.zeros(2)})
    with pytest.raises(TrainingError, match="another kind of run"):
        load_state(tmp_path, [], optimizer_of(2), NO_SCALER, extra)


@pytest.mark.parametrize(
    "others",
    [
        optimizer_of(2, 2),
        Keeping([nn.Parameter(torch.zeros(2)) for _ in range(2)], lr=1.0),
        Keeping([{"params": [nn.Parameter(torch.zeros(2))]}, {"params": []}], lr=1.0),
    ],
    ids=["more of both", "more parameters", "more groups"],
)
def test_a_state_of_other_groups_or_parameters_is_refused(others, tmp_path):
    save_state(tmp_path, 1, [], optimizer_of(2), NO_SCALER)
    with pytest.raises(TrainingError, match="another kind of run. Delete that folder"):
        load_state(tmp_path, [], others, NO_SCALER)


def test_the_scale_of_half_precision_comes_back(tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=7)
    save_state(tmp_path, 1, [], optimizer_of(2), scaler)
    restored = torch.amp.GradScaler("cpu")
    load_state(tmp_path, [], optimizer_of(2), restored)
    assert restored.state_dict() == scaler.state_dict()


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j], ids=lambda value: type(value).__name__)
def test_what_cannot_be_written_exactly_is_refused_before_anything_is_written(value, tmp_path):
    optimizer = optimizer_of(2)
    optimizer.state[weights_of(optimizer)[0]] = {"odd": value}
    with pytest.raises(TrainingError, match=f"keeps a {type(value).__name__}, which cannot be saved. Choose AdamW"):
        save_state(tmp_path, 1, [], optimizer, NO_SCALER)
    assert not list(tmp_path.iterdir())


def test_no_state_is_step_0_and_changes_nothing(tmp_path):
    optimizer = optimizer_of(2)
    assert load_state(tmp_path, [], optimizer, NO_SCALER) == 0
    assert not optimizer.state


def test_the_newest_two_states_are_kept(tmp_path):
    for step in (1, 2, 10):
        save_state(tmp_path, step, [], optimizer_of(2), NO_SCALER)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000002.json",
        "step-00000002.safetensors",
        "step-00000010.json",
        "step-00000010.safetensors",
    ]
    assert load_state(tmp_path, [], optimizer_of(2), NO_SCALER) == 10


def flip_a_bit(path, at):
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "cut short": lambda state, manifest: state.write_bytes(state.read_bytes()[:-1]),
    "a bit in a tensor": lambda state, manifest: flip_a_bit(state, 0.999),
    "a bit in a number": lambda state, manifest: flip_a_bit(state, 0.3),
    "empty": lambda state, manifest: state.write_bytes(b""),
    "no tensors": lambda state, manifest: state.unlink(),
    "manifest cut short": lambda state, manifest: manifest.write_bytes(manifest.read_bytes()[:9]),
    "manifest of an older kind": lambda state, manifest: manifest.write_text(json.dumps({"step": 2})),
    "manifest that is a list": lambda state, manifest: manifest.write_text("[]"),
}


@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_state_falls_back_to_the_one_before_and_never_to_the_start(harm, tmp_path):
    for step in (1, 2):
        save_state(tmp_path, step, [], optimizer_of(2), NO_SCALER, {"average": torch.full((999,), float(step))})
    average = torch.zeros(999)
    harm(tmp_path / "step-00000002.safetensors", tmp_path / "step-00000002.json")
    assert load_state(tmp_path, [], optimizer_of(2), NO_SCALER, {"average": average}) == 1
    assert average[0] == 1
    harm(tmp_path / "step-00000001.safetensors", tmp_path / "step-00000001.json")
    with pytest.raises(TrainingError, match="damaged. Delete that folder to start this run anew"):
        load_state(tmp_path, [], optimizer_of(2), NO_SCALER, {"average": average})


def test_a_state_without_its_manifest_does_not_count(tmp_path):
    for step in (1, 2):
        save_state(tmp_path, step, [], optimizer_of(2), NO_SCALER)
    (tmp_path / "step-00000002.json").unlink()
    assert load_state(tmp_path, [], optimizer_of(2), NO_SCALER) == 1


def test_the_file_is_plain_safetensors(tmp_path):
    optimizer = optimizer_of(2)
    optimizer.state[weights_of(optimizer)[0]] = {"mean": torch.ones(2), "step": 3}
    save_state(tmp_path, 1, [], optimizer, NO_SCALER)
    with safe_open(tmp_path / "step-00000001.safetensors", "pt") as file:
        assert list(file.keys()) == ["optimizer.0.mean"]
        assert json.loads(file.metadata()["values"])["parameters"][0]["dict"]["step"] == 3
