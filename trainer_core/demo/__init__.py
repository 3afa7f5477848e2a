"""The demo that comes with the pack: a drawn world, a small base model trained on it, pictures to train a LoRA."""

from pathlib import Path

DEMO_BASE = Path(__file__).parent / "base" / "demo-base.safetensors"
"""A small SD1.5-layout model that draws 32x32 pictures of the drawn world; train_base.py made it."""

DEMO_PICTURES = Path(__file__).parent / "pictures"
"""10_mochi: the mascot, with captions. regularisation: the drawn world without it. draw_pictures.py drew them."""
