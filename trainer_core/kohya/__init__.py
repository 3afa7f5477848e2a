"""What kohya's sd-scripts know and write: their settings, read into jobs, and their metadata keys and hashes."""
