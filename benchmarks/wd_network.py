"""A stand-in for wd-vit-tagger-v3 of its true size: a ViT-B/16 (Dosovitskiy et al. 2020, arXiv:2010.11929) as ONNX.

Random weights, 10,861 outputs, 94.6 M parameters, 378 MB. `shrink` pools the picture before the network: the size on
disk stays, the work falls with the number of tokens.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper, save_model

TAGS = 10_861
SIDE, PATCH = 448, 16
_WIDTH, _DEPTH, _HEADS = 768, 12, 12
_BIAS = -7.0
"""Leaves about a hundred tags of a picture above 0.01, as with a trained tagger."""


def write_wd_vit(folder: Path, *, shrink: int) -> float:
    """Write model.onnx and selected_tags.csv into `folder`; the answer is the work of one picture in GFLOP.

    `shrink` is a divisor of 28, the patches along a side.
    """
    network = _Network((SIDE // PATCH // shrink) ** 2)
    network.build(shrink)
    graph = helper.make_graph(
        network.nodes,
        "wd",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch_size", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", TAGS])],
        network.weights,
    )
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    save_model(model, folder / "model.onnx")
    rows = (f"{index},tag_{index},{_category(index)},1" for index in range(TAGS))
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows]) + "\n", encoding="utf-8")
    return network.multiplications * 2 / 1e9


class _Network:
    """Nodes and weights in the making. A node's result has the node's own name."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.nodes: list[NodeProto] = []
        self.weights = []
        self.multiplications = 0
        self._rng = np.random.default_rng(0)

    def build(self, shrink: int) -> None:
        x = self._patches(shrink)
        for _ in range(_DEPTH):
            x = self._add(x, self._attention(self._normalised(x)))
            x = self._add(x, self._mlp(self._normalised(x)))
        pooled = self._node("ReduceMean", self._normalised(x), self._numbers([1]), keepdims=0)
        rarely = self._add(self._linear(pooled, _WIDTH, TAGS, rows=1), self._weight("bias", np.float32(_BIAS)))
        self._node("Sigmoid", rarely, name="output")

    def _patches(self, shrink: int) -> str:
        planes = self._node("Transpose", "input", perm=[0, 3, 1, 2])
        small = self._node("AveragePool", planes, kernel_shape=[shrink] * 2, strides=[shrink] * 2)
        scaled = self._node("Mul", small, self._weight("scale", np.float32(1 / 255)))
        kernel = self._random(_WIDTH, 3, PATCH, PATCH, inputs=3 * PATCH**2)
        grid = self._node("Conv", scaled, kernel, kernel_shape=[PATCH] * 2, strides=[PATCH] * 2)
        self.multiplications += self.tokens * _WIDTH * 3 * PATCH**2
        flat = self._node("Reshape", grid, self._numbers([0, _WIDTH, self.tokens]))
        tokens = self._node("Transpose", flat, perm=[0, 2, 1])
        return self._add(tokens, self._random(self.tokens, _WIDTH, inputs=2500))

    def _attention(self, x: str) -> str:
        query, key, value = (self._heads(self._linear(x, _WIDTH, _WIDTH), perm) for perm in (0, 1, 0))
        scores = self._node("MatMul", query, key)
        scaled = self._node("Mul", scores, self._weight("temperature", np.float32((_WIDTH / _HEADS) ** -0.5)))
        seen = self._node("MatMul", self._node("Softmax", scaled, axis=-1), value)
        self.multiplications += 2 * self.tokens**2 * _WIDTH
        joined = self._node("Reshape", self._node("Transpose", seen, perm=[0, 2, 1, 3]), self._numbers([0, 0, _WIDTH]))
        return self._linear(joined, _WIDTH, _WIDTH)

    def _heads(self, x: str, is_key: int) -> str:
        split = self._node("Reshape", x, self._numbers([0, 0, _HEADS, _WIDTH // _HEADS]))
        return self._node("Transpose", split, perm=[0, 2, 3, 1] if is_key else [0, 2, 1, 3])

    def _mlp(self, x: str) -> str:
        return self._linear(self._node("Gelu", self._linear(x, _WIDTH, 4 * _WIDTH)), 4 * _WIDTH, _WIDTH)

    def _linear(self, x: str, inputs: int, outputs: int, *, rows: int | None = None) -> str:
        self.multiplications += (rows or self.tokens) * inputs * outputs
        return self._add(self._node("MatMul", x, self._random(inputs, outputs, inputs=inputs)), self._zeros(outputs))

    def _normalised(self, x: str) -> str:
        scale = self._weight("norm", np.ones(_WIDTH, np.float32))
        return self._node("LayerNormalization", x, scale, self._zeros(_WIDTH), epsilon=1e-6)

    def _add(self, x: str, y: str) -> str:
        return self._node("Add", x, y)

    def _node(self, kind: str, *inputs: str, name: str = "", **attributes: object) -> str:
        name = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _random(self, *shape: int, inputs: int) -> str:
        return self._weight("weight", self._rng.standard_normal(shape, np.float32) / np.float32(inputs**0.5))

    def _zeros(self, length: int) -> str:
        return self._weight("bias", np.zeros(length, np.float32))

    def _numbers(self, numbers: list[int]) -> str:
        return self._weight("numbers", np.int64(numbers))

    def _weight(self, kind: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(value), f"{kind}_{len(self.weights)}"))
        return self.weights[-1].name


def _category(index: int) -> int:
    """As in v3: four ratings, then general tags, then characters."""
    return 9 if index < 4 else 0 if index < 8_110 else 4
