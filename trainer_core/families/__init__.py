"""One file per model family, and what they share: reading checkpoints, configs from shapes, tokenizers."""
