"""Adapters on a model, their kohya names, and the files they are saved in."""
