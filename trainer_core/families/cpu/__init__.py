"""A base model on a CPU in fp32: faster arithmetic than PyTorch's own, with less kept for the backward pass.

What is computed is the same but for the order of additions; docs/speed.md has the figures.
"""
