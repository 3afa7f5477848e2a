"""Stand-ins for taggers' files, true in layout, names and architecture, with made-up weights and few tags."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from trainer_core.tagging.deepdanbooru_network import DeepDanbooruNetwork

CELLS = 4
"""A stand-in WD tagger sees this many cells in each direction."""


_CATEGORIES = (0, 4, 9, 0, 3, 0, 4)
ROWS = tuple((f"tag_{index}", _CATEGORIES[index % len(_CATEGORIES)]) for index in range(3 * CELLS**2))
"""(name, category), where place says nothing: characters stand among general tags, ratings are not the first four,
and 3 is another category."""


def write_tags_csv(file: Path, rows: Sequence[tuple[str, int]]) -> None:
    """A selected_tags.csv of (name, category)."""
    lines = [f"{1000 + index},{_quoted(name)},{category},{5000 - index}" for index, (name, category) in enumerate(rows)]
    file.write_text("\n".join(["tag_id,name,category,count", *lines, ""]), encoding="utf-8")


def cell_of(output: int) -> tuple[int, int, int]:
    """(channel, row, column) of what output `output` of `write_wd_onnx` shows. Channel 0 is the first of the input."""
    return output // CELLS**2 % 3, output // CELLS % CELLS, output % CELLS


def write_wd_onnx(file: Path, *, outputs: int, side: int = 32, batch: int | str = "batch_size") -> None:
    """A model.onnx that answers what it is shown: each output is the mean of one cell in one channel, over 255."""
    weight = np.zeros((3 * CELLS**2, outputs), np.float32)
    for output in range(outputs):
        weight[output % len(weight), output] = 1 / 255
    nodes = [
        helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[side // CELLS] * 2,
                         strides=[side // CELLS] * 2),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["output"]),
    ]  # fmt: skip
    write_onnx(file, nodes, {"weight": weight}, inputs=[batch, side, side, 3], outputs=[batch, outputs])


def write_onnx(
    file: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    *,
    inputs: Sequence[int | str],
    outputs: Sequence[int | str],
) -> None:
    """A graph from "input" to "output", both float32, as a file."""
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(inputs))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(outputs))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    file.write_bytes(model.SerializeToString())


def write_wd_timm(folder: Path, rows: Sequence[tuple[str, int]], *, side: int = 64) -> torch.nn.Module:
    """model.safetensors, config.json and selected_tags.csv of a small vision transformer, with the network itself."""
    import timm

    folder.mkdir(parents=True, exist_ok=True)
    config = wd_timm_config(len(rows), side)
    torch.manual_seed(0)
    network = timm.create_model(config["architecture"], num_classes=len(rows), **config["model_args"]).eval()
    torch.nn.init.normal_(network.head.weight)  # so that answers differ from picture to picture
    save_file(network.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_tags_csv(folder / "selected_tags.csv", rows)
    return network


def wd_timm_config(outputs: int, side: int) -> dict[str, Any]:
    """The fields of a v3 tagger's config.json; the depth and width of its network are made small."""
    half = [0.5, 0.5, 0.5]
    return {
        "architecture": "vit_base_patch16_224",
        "num_classes": outputs,
        "num_features": 32,
        "global_pool": "avg",
        "model_args": {
            "img_size": side, "class_token": False, "global_pool": "avg", "fc_norm": False, "depth": 2,
            "embed_dim": 32, "num_heads": 2,
        },
        "pretrained_cfg": {
            "custom_load": False, "input_size": [3, side, side], "fixed_input_size": False, "interpolation": "bicubic",
            "crop_pct": 1.0, "crop_mode": "center", "mean": half, "std": half, "num_classes": outputs,
            "first_conv": "patch_embed.proj", "classifier": "head",
        },
    }  # fmt: skip


def write_deepdanbooru(file: Path, names: Sequence[str], *, width: int = 4) -> dict[str, torch.Tensor]:
    """A model-resnet_custom_v3.pt of true plan, `width` channels wide where the true one has 64; also its weights."""
    torch.manual_seed(0)
    network = DeepDanbooruNetwork(width=width, tags=len(names))
    with torch.no_grad():
        for name, value in network.named_parameters():
            # He's initialisation; a quarter where a body joins its shortcut, so that nothing grows with the depth.
            joins = name.endswith("weight") and value.shape[0] == 4 * value.shape[1]
            value.normal_(std=(0.25 if joins else 1.0) * np.sqrt(2 / value[0].numel()) if value.ndim > 1 else 0.05)
        network.n_Conv_178.weight.mul_(0.3)
    weights = network.state_dict()
    torch.save({**weights, "tags": list(names)}, file)
    return weights


class Bomb:
    """Creates a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""')) if "," in name or '"' in name else name
