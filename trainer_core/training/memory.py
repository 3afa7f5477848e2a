"""How much memory a training step needs, counted before the first one on tensors without storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..devices import is_gpu
from ..families.base_model import BaseModel, Conditioning, PictureSize
from ..families.offloading import bytes_taken_off
from ..families.prompts import CHUNK
from ..families.quantised import quantise
from ..families.tokenizers import CONTEXT
from ..lora.adapters import Adapters
from ..lora.halves import halves_at_hand
from ..lora.names import targets_of
from .blocks_alike import count_alike_once
from .checkpointing import checkpoint_blocks
from .device_layers import bytes_of_cpu_layers, has_cpu_layers, put_borders_for_gpu, use_gpu_layers
from .memory_choice import MemoryChoice
from .memory_count import MemoryCount
from .plan import TrainingPlan
from .precision import FORMATS, autocast
from .stand_ins import AsOnDevice, stand_in_for
from .step_memory import GB, StepMemory, StepShape

# Shape suffixes: B batch, C latent channels, H and W latent height and width, L tokens, D text width, P pooled width.

FIXED_OVERHEAD = {"cpu": 0.7 * GB, "cuda": 0.3 * GB}
"""Bytes that no tensor shows: on a GPU the workspaces of cuBLAS and cuDNN; on a CPU oneDNN's copies of weights and what
the heap does not give back (0.4 to 1.1 GB for SD1.5, measured by benchmarks/step_memory.py)."""
_SHARE_LOST = 0.05
"""Of the step's tensors: blocks of the allocator that are never full."""
_STATE_BYTES = {
    "AdamW": 8,
    "AdamW8bit": 2,
    "Lion": 4,
    "Lion8bit": 1,
    "Prodigy": 16,
    "Adafactor": 0,
    "AdamWScheduleFree": 8,
    "CAME": 4,
}
"""What an optimizer keeps for a parameter."""
_FACTORED_SQUARES = {"Adafactor": 1, "CAME": 2}
"""How often it keeps a mean for every row and every column of a matrix instead."""


def largest_shape(
    batches: Sequence[Sequence[int]], buckets: Sequence[tuple[int, int]], plan: TrainingPlan
) -> StepShape:
    """The batch with the most pixels. `buckets`: (width, height) of every picture of the dataset."""
    largest = max(batches, key=lambda batch: len(batch) * buckets[batch[0]][0] * buckets[batch[0]][1])
    width, height = buckets[largest[0]]
    return StepShape(pictures=len(largest), width=width, height=height, chunks=plan.text.longest_prompt // CHUNK)


def step_memory(
    outline: BaseModel,
    plan: TrainingPlan,
    shape: StepShape,
    choice: MemoryChoice,
    *,
    precision: str,
    device: str,
    processes: int = 1,
    usual_pixels: int = 0,
) -> StepMemory:
    """Go through one step without computing it. `outline` is used up: its modules become stand-ins with adapters.

    Args:
        shape: The largest batch.
        usual_pixels: Of a batch, as device_layers.py has it: what a CPU's layers are chosen by.
    """
    trains_text, dtype = bool(plan.optimizer.rate_of_text_encoder), FORMATS[precision]
    with torch.inference_mode(False), torch.enable_grad(), FakeTensorMode():
        encoders = outline.text_encoders if trains_text else []
        modules = [outline.unet, *encoders]
        for module in modules:
            stand_in_for(module, dtype, channels_last=is_gpu(device))
        if choice.packs_weights:
            quantise(outline.unet, choice.base, are_stand_ins=True)
        if is_gpu(device):
            use_gpu_layers(outline.unet, device, dtype, will_compile=plan.precision.compile)
        shape = replace(shape, pictures=-(-shape.pictures // choice.parts))
        base = sum(map(bytes_of, modules)) - (bytes_taken_off(outline.unet) if choice.offload else 0)
        adapters = _adapters(outline, plan)
        parameters = [parameter for part in adapters for parameter in part.parameters()]
        if is_gpu(device):
            base += put_borders_for_gpu(outline.unet, device, dtype, plan.adapter)
        elif has_cpu_layers(device, precision):
            base += bytes_of_cpu_layers(outline.unet, usual_pixels // outline.pixels_per_latent**2)
        if choice.checkpoint_every:
            checkpoint_blocks(outline, choice.checkpoint_every, lambda: (AsOnDevice(device), AsOnDevice(device)))
        has_graphs = plan.precision.cuda_graphs and is_gpu(device) and not choice.against_graphs(plan)
        # gradients of one part are there in the next; those that graphs add to, always
        passes = 2 if plan.accumulation * choice.parts > 1 or has_graphs else 1
        from_graphs = processes if has_graphs else 0
        step = _peak_of_step(
            outline, modules, adapters, shape, precision, device, passes=passes, from_graphs=from_graphs
        )
    lora = sum(_bytes_of_parameter(parameter.shape, plan) for parameter in parameters)
    fixed = FIXED_OVERHEAD.get(torch.device(device).type, 0)
    return StepMemory(base=base, lora=lora, step=step, overhead=int(fixed + _SHARE_LOST * step))


def _adapters(model: BaseModel, plan: TrainingPlan) -> list[Adapters]:
    unet, *encoders = targets_of(model, plan.adapter.targets, plan.adapter.blocks)
    rates = plan.optimizer
    parts = ([unet] if rates.rate_of_unet else []) + (encoders if rates.rate_of_text_encoder else [])
    return [Adapters(module, targets, plan.network.rank, plan.network.alpha, plan.adapter) for module, targets in parts]


def _bytes_of_parameter(shape: torch.Size, plan: TrainingPlan) -> int:
    """The weight, the optimizer's state and the average, all in fp32 but 8-bit states."""
    optimizer, count = plan.optimizer, shape.numel()
    has_mean = optimizer.name == "Adafactor" and optimizer.beta1 is not None
    each = 4 + _STATE_BYTES[optimizer.name] + (4 if has_mean else 0) + (4 if plan.ema.decay else 0)
    rows_and_columns = count // shape[-1] + count // shape[-2] if len(shape) > 1 else count
    return each * count + 4 * _FACTORED_SQUARES.get(optimizer.name, 0) * rows_and_columns


def _peak_of_step(
    model: BaseModel,
    modules: Sequence[nn.Module],
    adapters: Sequence[Adapters],
    shape: StepShape,
    precision: str,
    device: str,
    *,
    passes: int,
    from_graphs: int,
) -> int:
    """Bytes of the largest set of tensors that a step holds at a time, beside what was there before it.

    An optimizer step has a second copy of the gradients for a moment, when activations are gone, but for a graph's.
    There several processes have a third one, in which they are exchanged.

    Args:
        from_graphs: How many processes train from CUDA graphs; 0: none does.
    """
    latent = (shape.height // model.pixels_per_latent, shape.width // model.pixels_per_latent)
    noisy_BCHW = torch.zeros(shape.pictures, model.unet.config.in_channels, *latent)
    t_B = torch.zeros(shape.pictures, dtype=torch.long)
    sizes = [PictureSize((1, 1), (0, 0), (1, 1))] * shape.pictures
    unet = [part for part in adapters if part.module is model.unet]
    count = MemoryCount()
    count_alike_once(model.unet, count)
    for _ in range(passes):
        with AsOnDevice(device), count, halves_at_hand(unet, FORMATS[precision]):
            with autocast(precision, "cpu"):
                conditioning = _conditioning(model, modules[1:], shape, FORMATS[precision])
            predicted_BCHW = model.predict(noisy_BCHW, t_B, conditioning, sizes)
            loss = (predicted_BCHW.float() - noisy_BCHW).square().mean()
            del predicted_BCHW, conditioning
            loss.backward()
    parameters = (parameter for part in adapters for parameter in part.parameters())
    gradients = sum(parameter.grad.nbytes for parameter in parameters if parameter.grad is not None)
    if not from_graphs:
        return max(count.peak, 2 * gradients)
    return count.peak + min(from_graphs, 2) * gradients


def _conditioning(
    model: BaseModel, encoders: Sequence[nn.Module], shape: StepShape, dtype: torch.dtype
) -> Conditioning:
    """Text states of the longest captions: from the encoders where they are trained."""
    config = model.unet.config
    pooled_BP = None
    if config.addition_embed_type == "text_time":
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        pooled_BP = torch.zeros(shape.pictures, width, dtype=dtype)
    length = shape.chunks * CONTEXT
    if not encoders:
        return Conditioning(torch.zeros(shape.pictures, length, config.cross_attention_dim, dtype=dtype), pooled_BP)
    ids_NL = torch.zeros(shape.pictures * shape.chunks, CONTEXT, dtype=torch.long)
    states = [encoder(ids_NL, output_hidden_states=True).hidden_states[-2] for encoder in encoders]
    return Conditioning(torch.cat(states, dim=-1).reshape(shape.pictures, length, -1), pooled_BP)


def bytes_of(module: nn.Module) -> int:
    """Of all that a module holds, be it real or not."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
