"""Plan, data order, objective, loop, resumable state."""
