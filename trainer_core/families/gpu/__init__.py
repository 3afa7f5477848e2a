"""Layers of a frozen UNet on a GPU. What lies between its multiplications is done in as few passes over the memory as
can be, and little is kept for the backward pass; by Triton, where it is."""
