"""The commands behind `python -m trainer_core`, in two groups; each calls what the node of the same stage calls."""
