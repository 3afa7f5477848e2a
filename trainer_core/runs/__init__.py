"""What is known of runs from their folders alone: no trainer, no model, no picture is opened for it."""
