"""The optimizer: which part gets which rate, what reaches the libraries, and that these do what their papers say."""

import importlib
import typing
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.toy_runs import PACKAGES, plan_of
from trainer_core.errors import TrainingError
from trainer_core.lora.adapters import ParameterGroup
from trainer_core.training.optimizer import check_optimizer, make_optimizer, optimizer_for_saving, set_rates
from trainer_core.training.plan import OptimizerPlan

NAMES = typing.get_args(typing.get_type_hints(OptimizerPlan)["name"])


def parameters(count):
    return [nn.Parameter(torch.ones(2)) for _ in range(count)]


def plain(members):
    """Groups of a part that are neither up matrices nor in a block with a factor."""
    return [ParameterGroup(members, False, 1.0)]


def rates(plan, factor=1.0):
    optimizer = make_optimizer(plan, plain(parameters(2)), plain(parameters(3)))
    set_rates(optimizer, factor)
    return [(len(group["params"]), group["lr"]) for group in optimizer.param_groups]


def one_weight(plan):
    """An optimizer of one matrix, and that matrix, which starts at zero as up matrices do."""
    weight = nn.Parameter(torch.zeros(64, 64))
    return make_optimizer(plan, plain([weight]), []), weight


def three_weights():
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(32, 64), (64, 32), (48,)]]


def walk(optimizer, weights, steps=30):
    """Some steps on a bowl with slopes of its own in every direction; yields after each."""
    generator = torch.Generator().manual_seed(1)
    goals = [torch.randn(weight.shape, generator=generator) for weight in weights]
    slopes = [0.1 + torch.rand(weight.shape, generator=generator) for weight in weights]
    for _ in range(steps):
        for weight, goal, slope in zip(weights, goals, slopes, strict=True):
            weight.grad = (weight.detach() - goal) * slope + 0.1 * torch.randn(weight.shape, generator=generator)
        optimizer.step()
        yield


# ------------------------------------------------------------------------------------------------------------ rates


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"learning_rate": 1e-3, "text_encoder_rate": None}, [(2, 1e-3), (3, 1e-3)]),
        ({"learning_rate": 1e-3, "unet_rate": 2e-4, "text_encoder_rate": 5e-5}, [(2, 2e-4), (3, 5e-5)]),
        ({"learning_rate": 1e-3, "text_encoder_rate": 0.0}, [(2, 1e-3)]),
        ({"learning_rate": 1e-3, "unet_rate": 0.0, "text_encoder_rate": None}, [(3, 1e-3)]),
        ({"learning_rate": 0.0, "unet_rate": 1e-4, "text_encoder_rate": None}, [(2, 1e-4)]),
    ],
)
def test_each_part_has_its_own_rate_and_rate_0_leaves_it_out(settings, expected):
    assert rates(OptimizerPlan(**settings)) == expected


def test_a_factor_scales_every_group():
    assert rates(OptimizerPlan(learning_rate=1.0, text_encoder_rate=0.5), 0.25) == [(2, 0.25), (3, 0.125)]


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_follows_the_rates_of_the_groups(name):
    settings = {} if name == "Prodigy" else {"unet_rate": 1e-3, "text_encoder_rate": 0.0}
    optimizer, weight = one_weight(plan_of(name, weight_decay=0.0, **settings))
    weight.grad = torch.ones_like(weight)
    set_rates(optimizer, 0.0)
    optimizer.step()
    assert not weight.any()
    set_rates(optimizer, 0.5)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert weight.any()


def rates_of(optimizer):
    """Base rates with what has them, in order."""
    return [(group["base_rate"], list(map(id, group["params"]))) for group in optimizer.param_groups]


def test_lora_plus_gives_the_up_matrices_of_each_part_a_multiple_of_its_rate():
    down, up, of_encoder, up_of_encoder = parameters(4)
    plan = OptimizerPlan(learning_rate=1e-4, text_encoder_rate=5e-5, lora_plus_ratio=8.0)
    unet = [ParameterGroup([up], True, 1.0), ParameterGroup([down], False, 1.0)]
    encoders = [ParameterGroup([of_encoder], False, 1.0), ParameterGroup([up_of_encoder], True, 1.0)]
    optimizer = make_optimizer(plan, unet, encoders)
    assert rates_of(optimizer) == [
        (1e-4, [id(down)]),
        (pytest.approx(8e-4), [id(up)]),
        (5e-5, [id(of_encoder)]),
        (pytest.approx(4e-4), [id(up_of_encoder)]),
    ]
    assert set_rates(optimizer, 0.5) == 5e-5
    assert optimizer.param_groups[1]["lr"] == pytest.approx(4e-4)


def test_the_factors_of_blocks_multiply_and_the_rate_shown_is_that_without_one():
    slow, plain_one, up_of_slow, up = parameters(4)
    groups = [
        ParameterGroup([slow], False, 0.5),
        ParameterGroup([up_of_slow], True, 0.5),
        ParameterGroup([plain_one], False, 1.0),
        ParameterGroup([up], True, 1.0),
    ]
    optimizer = make_optimizer(OptimizerPlan(learning_rate=1.0, lora_plus_ratio=4.0), groups, [])
    assert rates_of(optimizer) == [(1.0, [id(plain_one)]), (0.5, [id(slow)]), (4.0, [id(up)]), (2.0, [id(up_of_slow)])]


def test_what_is_at_one_rate_is_one_group():
    down, up, down_of_another, up_of_another = parameters(4)
    part = [ParameterGroup([down], False, 1.0), ParameterGroup([up], True, 1.0)]
    another = [ParameterGroup([down_of_another], False, 1.0), ParameterGroup([up_of_another], True, 1.0)]
    optimizer = make_optimizer(OptimizerPlan(learning_rate=1e-4), [*part, *another], [])
    assert [(rate, set(found)) for rate, found in rates_of(optimizer)] == [
        (1e-4, {id(down), id(up), id(down_of_another), id(up_of_another)})
    ]


def test_lora_plus_without_up_matrices_is_refused():
    with pytest.raises(TrainingError, match="LoRA\\+ needs a network with up matrices"):
        make_optimizer(OptimizerPlan(lora_plus_ratio=4.0), plain(parameters(2)), plain(parameters(1)))


def test_prodigy_refuses_blocks_with_rates_of_their_own_instead_of_ignoring_them():
    groups = [ParameterGroup(parameters(1), False, factor) for factor in (1.0, 0.5)]
    with pytest.raises(TrainingError, match="Prodigy finds one rate for all blocks"):
        make_optimizer(plan_of("Prodigy"), groups, [])


def test_the_rate_shown_is_what_prodigy_has_found_times_its_own():
    plan = plan_of("Prodigy", text_encoder_rate=0.0)
    optimizer, weight = one_weight(plan)
    assert set_rates(optimizer, 0.5) == pytest.approx(0.5 * plan.prodigy_d0)
    set_rates(optimizer, 1.0)
    for _ in walk(optimizer, [weight]):
        pass
    found = optimizer.param_groups[0]["d"]
    assert found > plan.prodigy_d0 and set_rates(optimizer, 0.5) == pytest.approx(0.5 * found)


# -------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("name", NAMES)
def test_weight_decay_pulls_by_the_rate_times_the_decay(name):
    """Apart from where the gradient pushes: both walks see the same gradients, which do not depend on the weights."""
    moved = []
    for decay in (0.0, 0.5):
        plan = plan_of(name, weight_decay=decay, text_encoder_rate=0.0, prodigy_bias_correction=False)
        weight = nn.Parameter(torch.full((64, 64), 2.0))
        optimizer = make_optimizer(plan, plain([weight]), [])
        weight.grad = torch.ones_like(weight)
        rate = set_rates(optimizer, 1.0)
        optimizer.step()
        moved.append(weight.detach().double())
    assert (moved[0] - moved[1]).mean() == pytest.approx(rate * 0.5 * 2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("AdamW", {}, {"betas": (0.9, 0.999)}),
        ("AdamW", {"beta1": 0.8, "beta2": 0.99}, {"betas": (0.8, 0.99)}),
        ("AdamW8bit", {}, {"betas": (0.9, 0.999)}),
        ("AdamW8bit", {"beta1": 0.8, "beta2": 0.99}, {"betas": (0.8, 0.99)}),
        ("Lion", {}, {"betas": (0.9, 0.99)}),
        ("Lion", {"beta1": 0.95, "beta2": 0.98}, {"betas": (0.95, 0.98)}),
        ("Lion8bit", {}, {"betas": (0.9, 0.99)}),
        ("Lion8bit", {"beta2": 0.98}, {"betas": (0.9, 0.98)}),
        ("Prodigy", {}, {"betas": (0.9, 0.999), "bias_correction": True, "safeguard_warmup": True, "d0": 5e-3}),
        (
            "Prodigy",
            {"beta2": 0.99, "prodigy_d_coef": 2.0, "prodigy_d0": 1e-5, "prodigy_bias_correction": False},
            {"betas": (0.9, 0.99), "d_coef": 2.0, "d0": 1e-5, "d": 1e-5, "bias_correction": False},
        ),
        ("Adafactor", {}, {"beta1": None, "relative_step": False, "scale_parameter": False}),
        ("Adafactor", {"beta1": 0.9}, {"beta1": 0.9}),
        ("AdamWScheduleFree", {}, {"betas": (0.9, 0.999)}),
        ("AdamWScheduleFree", {"beta1": 0.95}, {"betas": (0.95, 0.999)}),
        ("CAME", {}, {"betas": (0.9, 0.999, 0.9999)}),
        ("CAME", {"beta2": 0.99}, {"betas": (0.9, 0.99, 0.9999)}),
    ],
)
def test_the_plans_settings_reach_the_optimizer(name, settings, expected):
    optimizer, _ = one_weight(plan_of(name, weight_decay=0.3, **settings))
    (group,) = optimizer.param_groups
    assert group["weight_decay"] == 0.3
    assert {key: group[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["AdamW8bit", "Lion8bit"])
def test_eight_bit_optimizers_keep_what_they_remember_in_8_bits(name):
    optimizer, weight = one_weight(plan_of(name))
    for _ in walk(optimizer, [weight], 2):
        pass
    kept = [value for key, value in optimizer.state[weight].items() if key.startswith("state")]
    assert kept and all(value.dtype == torch.uint8 and value.numel() == weight.numel() for value in kept)


# ------------------------------------------------------------------------------------------- what the libraries do


def test_adamw_is_that_of_its_paper():
    optimizer, weight = one_weight(plan_of("AdamW", weight_decay=0.1))
    rate = set_rates(optimizer, 1.0)
    expected = weight.detach().double()
    mean = square = torch.zeros_like(expected)
    for step, _ in enumerate(walk(optimizer, [weight]), start=1):
        gradient = weight.grad.double()
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        corrected = (square / (1 - 0.999**step)).sqrt() + 1e-8
        expected = expected * (1 - rate * 0.1) - rate * mean / (1 - 0.9**step) / corrected
        torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-4, atol=1e-6)


def test_lion_is_that_of_its_paper():
    optimizer, weight = one_weight(plan_of("Lion", weight_decay=0.1))
    rate = set_rates(optimizer, 1.0)
    expected = weight.detach().double()
    mean = torch.zeros_like(expected)
    for _ in walk(optimizer, [weight]):
        gradient = weight.grad.double()
        expected = expected * (1 - rate * 0.1) - rate * (0.9 * mean + 0.1 * gradient).sign()
        mean = 0.99 * mean + 0.01 * gradient
        torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-4, atol=1e-6)


REFERENCES = {
    "Prodigy": (
        "prodigyopt",
        "Prodigy",
        {"d0": 5e-3, "weight_decay": 0.01, "use_bias_correction": True, "safeguard_warmup": True},
    ),
    "AdamWScheduleFree": ("schedulefree", "AdamWScheduleFree", {"weight_decay": 0.01}),
    "CAME": ("came_pytorch", "CAME", {"lr": 1.0, "weight_decay": 0.01}),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_what_has_a_library_of_its_authors_steps_as_that_does(name):
    package, cls, settings = REFERENCES[name]
    make_reference = getattr(pytest.importorskip(package), cls)
    plan = plan_of(name)
    ours, theirs = (three_weights() for _ in range(2))
    optimizer = make_optimizer(plan, plain(ours[:2]), plain(ours[2:]))
    rates = {"lr": plan.rate_of_unet}, {"lr": plan.rate_of_text_encoder}
    reference = make_reference([{"params": theirs[:2]} | rates[0], {"params": theirs[2:]} | rates[1]], **settings)
    if name == "AdamWScheduleFree":
        reference.train()
    for _ in zip(walk(optimizer, ours), walk(reference, theirs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_adafactor_moves_a_matrix_that_starts_at_zero_by_the_rate_it_is_given():
    optimizer, weight = one_weight(plan_of("Adafactor"))
    rate = set_rates(optimizer, 1.0)
    next(walk(optimizer, [weight]))
    assert weight.detach().square().mean().sqrt() == pytest.approx(rate, rel=0.05)


# --------------------------------------------------------------------------------------------- weights that are kept


def test_schedule_free_keeps_the_average_of_its_path_and_trains_on_where_it_was():
    optimizer, weight = one_weight(plan_of("AdamWScheduleFree"))
    path = []
    for _ in walk(optimizer, [weight]):
        path.append(optimizer.state[weight]["z"].double())
        training = weight.detach().clone()
        with optimizer_for_saving(optimizer):
            torch.testing.assert_close(weight.detach().double(), torch.stack(path).mean(0), rtol=1e-4, atol=1e-6)
        assert torch.equal(weight, training)
        assert not torch.equal(training.double(), torch.stack(path).mean(0)) or len(path) == 1


def test_saving_on_the_way_changes_nothing_that_follows():
    ends = []
    for saves in (False, True):
        optimizer, weight = one_weight(plan_of("AdamWScheduleFree"))
        for _ in walk(optimizer, [weight]):
            if saves:
                with optimizer_for_saving(optimizer):
                    pass
        ends.append(weight.detach())
    assert torch.equal(*ends)


def test_an_error_while_saving_puts_the_training_weights_back():
    optimizer, weight = one_weight(plan_of("AdamWScheduleFree"))
    for _ in walk(optimizer, [weight], 5):
        pass
    training = weight.detach().clone()
    with pytest.raises(OSError), optimizer_for_saving(optimizer):
        raise OSError("the disk is full")
    assert torch.equal(weight, training) and optimizer.param_groups[0]["train_mode"]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"AdamWScheduleFree"}))
def test_all_others_keep_the_weights_they_train(name):
    optimizer, weight = one_weight(plan_of(name))
    for _ in walk(optimizer, [weight], 3):
        pass
    training = weight.detach().clone()
    with optimizer_for_saving(optimizer):
        assert torch.equal(weight, training)
    assert torch.equal(weight, training)


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_step_passes_where_the_optimizer_works_even_in_comfyuis_inference_mode(name):
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        check_optimizer(plan_of(name), "cpu")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("name", sorted(PACKAGES))
@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ImportError("No module"), r"needs the package {0}. Install it \(pip install {0}\), or choose AdamW\.$"),
        (
            RuntimeError("no CUDA\nand more lines"),
            r"the package {0} cannot be loaded \(no CUDA\). .* or choose AdamW\.$",
        ),
    ],
)
def test_a_missing_or_broken_package_is_named_with_what_to_do(monkeypatch, name, problem, words):
    package = PACKAGES[name].replace("_", "-")

    def fail(module):
        assert module == PACKAGES[name]
        raise problem

    plan = plan_of(name)
    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(TrainingError, match=words.format(package)):
        check_optimizer(plan, "cpu")


def test_a_package_that_loads_and_fails_in_its_first_step_is_found_out_before_the_run(monkeypatch):
    class Failing(torch.optim.SGD):
        def __init__(self, groups, **_):
            super().__init__(groups, lr=1.0)

        def init_state(self, *_):
            raise NotImplementedError("8-bit needs a GPU\nand more lines")

    optim = SimpleNamespace(AdamW8bit=Failing)
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(optim=optim))
    with pytest.raises(TrainingError, match=r"^AdamW8bit does not work .* \(8-bit needs a GPU\). .* choose AdamW\.$"):
        check_optimizer(OptimizerPlan(name="AdamW8bit"), "cpu")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "Prodigy", "learning_rate": 1.0}, "one rate for all parts, but .* 1 and .* 5e-05. Set both to 1"),
        ({"name": "Prodigy", "learning_rate": 1.0, "text_encoder_rate": None, "lora_plus_ratio": 4.0}, "LoRA\\+"),
        ({"name": "Adafactor", "beta2": 0.9}, "Adafactor has no beta2"),
        ({"lora_plus_ratio": 0.5}, "LoRA\\+ ratio must be between 1 and 100"),
        ({"beta1": 1.0}, "beta1"),
        ({"beta2": 0.0}, "beta2"),
        ({"weight_decay": -1.0}, "weight decay"),
        ({"prodigy_d_coef": 0.0}, "d_coef"),
        ({"prodigy_d0": float("nan")}, "d0"),
    ],
)
def test_a_plan_that_no_optimizer_could_follow_is_refused(settings, words):
    with pytest.raises(TrainingError, match=words):
        OptimizerPlan(**settings)


@pytest.mark.parametrize("rates", [{"text_encoder_rate": None}, {"text_encoder_rate": 0.0}, {"unet_rate": 0.0}])
def test_prodigy_takes_equal_rates_and_parts_that_are_left_out(rates):
    assert OptimizerPlan(name="Prodigy", learning_rate=1.0, **rates)
