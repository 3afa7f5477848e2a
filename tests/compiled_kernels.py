"""Every Triton kernel compiled for GPUs that are not here, as machine code. Prints JSON for test_gpu_kernels.py.

python -m tests.compiled_kernels        without TRITON_INTERPRET, which would leave nothing to compile
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from trainer_core.families.gpu import (
    convolution,
    doubling,
    dropping,
    few_keys,
    gate,
    group_norm,
    joining,
    layer_norm,
    narrow_gradients,
)

GPUS = {
    "RTX 20": (GPUTarget("cuda", 75, 32), torch.float16),
    "RTX 30": (GPUTarget("cuda", 86, 32), torch.bfloat16),
    "H100": (GPUTarget("cuda", 90, 32), torch.bfloat16),
    "RTX 50": (GPUTarget("cuda", 120, 32), torch.bfloat16),
    "RX 7900": (GPUTarget("hip", "gfx1100", 32), torch.float16),
}
THAT_MULTIPLY = {"RTX 30", "H100", "RTX 50"}
"""Where Triton multiplies with tensor cores, and that kernels which multiply are for."""
_POINTERS = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.int32: "*i32",
             torch.int64: "*i64"}  # fmt: skip
_NUMBERS = {int: "i32", float: "fp32"}
_DIVISIBLE = [["tt.divisibility", 16]]
"""What Triton takes from an address, or a number, that is a multiple of 16: it loads 16 bytes at a time."""
_OPTIONS = ("num_warps", "num_stages")
_CUOBJDUMP = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"

Launch = tuple[triton.JITFunction, tuple[Any, ...], dict[str, Any]]


def launches(dtype: torch.dtype, *, that_multiply: bool, on_hopper: bool) -> list[Launch]:
    """What SDXL's and SD1.5's layers start, with arguments of their sizes, forwards and backwards."""
    found: list[Launch] = []
    modules = convolution, doubling, dropping, few_keys, gate, group_norm, joining, layer_norm, narrow_gradients
    for module in modules:
        module.launch = lambda kernel, grid, *arguments, **sizes: found.append((kernel, arguments, sizes))
        module.is_on_hopper = lambda tensor: on_hopper
    with FakeTensorMode():
        groups, layer = nn.GroupNorm(32, 320, dtype=dtype), nn.LayerNorm(1280, dtype=dtype)
        picture = torch.zeros(2, 320, 64, 64, dtype=dtype, requires_grad=True)
        tokens = torch.zeros(2, 1024, 1280, dtype=dtype, requires_grad=True)
        wide = torch.zeros(2, 1024, 10240, dtype=dtype, requires_grad=True)
        shift, numbers = torch.zeros(2, 320, dtype=dtype), torch.zeros(1, 3, dtype=torch.int64)
        answers = [
            group_norm.group_norm(picture, groups.requires_grad_(False), shift, silu=True),
            *group_norm.pass_and_normalise(picture, groups, silu=True),
            *layer_norm.add_and_normalise(tokens, tokens, layer.requires_grad_(False), layer.bias),
            gate.gate(wide, wide[0, 0].detach()),
            convolution.add(picture, picture, shift[0]),
            doubling.doubled(picture),
            joining.joined(picture, picture),
            *(dropping.drop(tokens, numbers, (7, 9), 2**30, 2.0, by_ranks=by_ranks) for by_ranks in (False, True)),
        ]
        if that_multiply:
            _gather(16, 1024, dtype, is_added=False)
            for rank, tokens in ((32, 8192), (64, 8192), (128, 1024)):
                _gather(rank, tokens, dtype, is_added=True)
            answers += [_attended(20, 64, dtype), _attended(8, 40, dtype)]
        sum(answer.sum() for answer in answers).backward()
    return found


def _attended(heads: int, width: int, dtype: torch.dtype) -> Tensor:
    query, key, value = (
        torch.zeros(2, tokens, heads, width, dtype=dtype, requires_grad=True).transpose(1, 2)
        for tokens in (1024, 77, 77)
    )
    return few_keys.attend_few_keys(query, key, value)


def _gather(rank: int, tokens: int, dtype: torch.dtype, *, is_added: bool) -> None:
    wide, narrow = torch.zeros(tokens, 1280, dtype=dtype), torch.zeros(tokens, rank, dtype=dtype)
    answer = torch.zeros(1280, rank, dtype=torch.float32 if is_added else dtype)
    product = narrow_gradients._Product(answer, wide, narrow, 1.0, is_added)
    narrow_gradients._compute([product], torch.zeros(8, 16, dtype=torch.int32))


def compiled(launch: Launch, target: GPUTarget) -> dict[str, int]:
    """Bytes of machine code, of memory that a program's threads share, and of what a thread takes because its registers
    do not do (NVIDIA's only)."""
    kernel, arguments, given = launch
    options = {name: value for name, value in given.items() if name in _OPTIONS}
    sizes = {name: value for name, value in given.items() if name not in _OPTIONS}
    names, signature, attributes = kernel.arg_names, {}, {}
    for place, (name, given) in enumerate(zip(names, arguments, strict=False)):
        if isinstance(given, tuple):
            signature[name] = tuple(_POINTERS[one.dtype] for one in given)
            attributes |= {(place, inner): _DIVISIBLE for inner in range(len(given))}
            continue
        signature[name] = _POINTERS[given.dtype] if isinstance(given, Tensor) else _NUMBERS[type(given)]
        if isinstance(given, Tensor) or given % 16 == 0:
            attributes[(place,)] = _DIVISIBLE
    constants = {(names.index(name),): value for name, value in sizes.items()}
    source = ASTSource(kernel, signature | dict.fromkeys(sizes, "constexpr"), constants, attributes)
    found = triton.compile(source, target=target, options=options)
    if target.backend == "hip":
        return {"code": len(found.asm["hsaco"]), "shared": found.metadata.shared}
    code = found.asm["cubin"]
    return {"code": len(code), "shared": found.metadata.shared, "spilled": _spilled(code)}


def _spilled(code: bytes) -> int:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        said = subprocess.run([_CUOBJDUMP, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    used = dict(word.split(":") for word in said.split() if word.startswith(("STACK:", "LOCAL:")))
    return int(used["STACK"]) + int(used["LOCAL"])


def main() -> None:
    found: dict[str, dict[str, list[dict[str, int]]]] = {}
    for gpu, (target, dtype) in GPUS.items():
        found[gpu] = {}
        for launch in launches(dtype, that_multiply=gpu in THAT_MULTIPLY, on_hopper=gpu == "H100"):
            found[gpu].setdefault(launch[0].__name__, []).append(compiled(launch, target))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
