"""network_module and network_args: kohya's LoRA and LoCon, and what LyCORIS adds."""

from __future__ import annotations

from typing import Any

from .options import Options, read_number, read_pairs, read_whole

RANK = 4
"""Where sd-scripts are not told."""

_MODULES = {"networks.lora": "lora", "networks.lora_fa": "lora", "networks.dylora": "lora", "networks.oft": "oft"}
_ALGORITHMS = {
    "lora": "lora",
    "locon": "lora",
    "loha": "loha",
    "lokr": "lokr",
    "diag-oft": "oft",
    "boft": "oft",
}
_TARGETS = {"attn-mlp": "attention and mlp", "attn-only": "attention", "full": "with convolutions"}
_APPROXIMATE = {
    "networks.lora_fa": "LoRA-FA keeps one matrix fixed; lora trains both",
    "networks.dylora": "DyLoRA trains many ranks at once; lora trains the one of network_dim",
    "networks.oft": "kohya's OFT counts blocks, and here the rank is a block's size; check network.rank",
    "boft": "BOFT is OFT in several turns; oft takes one",
}
_BLOCK_LISTS = ("down_lr_weight", "mid_lr_weight", "up_lr_weight")
_WITHOUT_EFFECT = ("bypass_mode", "verbose", "decompose_both", "block_lr_zero_threshold", "wd_on_output")


def network(options: Options) -> dict[str, Any]:
    """The adapter; its rank and alpha are rows of the table."""
    module = options.text("network_module", "networks.lora")
    arguments = read_pairs(options.texts("network_args"), "network_args")
    is_lycoris = module.startswith("lycoris")
    kind, targets = _lycoris(arguments, options) if is_lycoris else (_kind(module, options), "attention and mlp")
    found: dict[str, Any] = {"adapter.kind": kind, **_dropouts(options, arguments, kind)}
    found |= _convolutions(options, arguments, targets, is_lycoris)
    if kind == "lokr":
        found["adapter.lokr_factor"] = max(0, read_whole(arguments.pop("factor", -1), "factor"))
    if arguments.pop("rs_lora", "False").lower() == "true":
        found["adapter.rank_stabilised"] = True
    found |= _lora_plus(arguments, options)
    if lists := [f"{name}={arguments.pop(name)}" for name in _BLOCK_LISTS if name in arguments]:
        found |= _block_weights(lists, options)
    for argument, value in arguments.items():
        if argument not in _WITHOUT_EFFECT and value.lower() not in ("false", "0", "none", ""):
            options.unsupported.append(f"network_args {argument}={value}: there is no such setting here")
    return found | _merges(options)


def _kind(module: str, options: Options) -> str:
    if module not in _MODULES:
        options.unsupported.append(f"network_module {module}: lora is nearest to it, and is taken")
    elif module in _APPROXIMATE:
        options.notes.append(_APPROXIMATE[module])
    return _MODULES.get(module, "lora")


def _lycoris(arguments: dict[str, str], options: Options) -> tuple[str, str]:
    """(kind, targets); LyCORIS' own defaults are the algorithm lora and the preset full."""
    algorithm, preset = arguments.pop("algo", "lora").lower(), arguments.pop("preset", "full")
    if algorithm not in _ALGORITHMS:
        options.unsupported.append(f"network_args algo={algorithm}: lora is nearest to it, and is taken")
    if preset not in _TARGETS:
        options.unsupported.append(f"network_args preset={preset}: there is no such set of targets, attn-mlp is taken")
    if algorithm in _APPROXIMATE:
        options.notes.append(_APPROXIMATE[algorithm])
    kind = _ALGORITHMS.get(algorithm, "lora")
    weights_are_split = arguments.pop("dora_wd", "False").lower() == "true"
    if weights_are_split and kind != "lora":
        options.unsupported.append(f"network_args dora_wd=True: only lora has it, {kind} is taken without")
    return "dora" if weights_are_split and kind == "lora" else kind, _TARGETS.get(preset, "attention and mlp")


def _dropouts(options: Options, arguments: dict[str, str], kind: str) -> dict[str, Any]:
    plain = options.number("network_dropout", read_number(arguments.pop("dropout", 0.0), "dropout"))
    chances = {"dropout": plain}
    for name in ("rank_dropout", "module_dropout"):
        chances[name] = read_number(arguments.pop(name, 0.0), name)
    if plain and kind not in ("lora", "dora"):
        options.unsupported.append(f"network_dropout {plain:g}: {kind} has rank_dropout and module_dropout only")
        chances["dropout"] = 0.0
    return {f"adapter.{name}": chance for name, chance in chances.items()}


def _convolutions(options: Options, arguments: dict[str, str], targets: str, is_lycoris: bool) -> dict[str, Any]:
    """kohya trains 3x3 convolutions where they have a rank of their own; LyCORIS' full preset gives them the rank of
    the rest where they have none, and leaves them out where it is 0."""
    rank, alpha = options.whole("network_dim", RANK), options.number("network_alpha", 1.0)
    own = read_whole(arguments.pop("conv_dim", rank if is_lycoris else 0), "conv_dim")
    own_alpha = read_number(arguments.pop("conv_alpha", alpha if is_lycoris else 1.0), "conv_alpha")
    wanted = targets == "with convolutions" if is_lycoris else own > 0
    if not wanted or own < 1:
        return {"adapter.targets": "attention and mlp" if targets == "with convolutions" else targets}
    return {"adapter.targets": "with convolutions", "adapter.conv_rank": own, "adapter.conv_alpha": own_alpha or own}


def _lora_plus(arguments: dict[str, str], options: Options) -> dict[str, Any]:
    shared = arguments.pop("loraplus_lr_ratio", None)
    unet = arguments.pop("loraplus_unet_lr_ratio", shared)
    text = arguments.pop("loraplus_text_encoder_lr_ratio", shared)
    if unet != text:
        options.notes.append(f"LoRA+ has one ratio for all parts, {unet or text}")
    ratio = unet or text
    return {"optimizer.lora_plus_ratio": max(1.0, read_number(ratio, "loraplus_lr_ratio"))} if ratio else {}


def _block_weights(lists: list[str], options: Options) -> dict[str, Any]:
    if any(letter.isalpha() for entry in lists for letter in entry.partition("=")[2].replace("e-", "")):
        options.unsupported.append(f"network_args {' '.join(lists)}: only lists of numbers are read, not curves")
        return {}
    return {"adapter.block_weights": " ".join(lists)}


def _merges(options: Options) -> dict[str, Any]:
    files, strengths = options.texts("base_weights"), options.texts("base_weights_multiplier")
    strengths += ["1"] * (len(files) - len(strengths))
    if options.flag("dim_from_weights", False):
        options.notes.append("dim_from_weights: set network.rank to the rank of the file that is trained on")
    if not files:
        return {}
    return {"adapter.merge_first": "; ".join(f"{f}:{s}" for f, s in zip(files, strengths, strict=False))}
