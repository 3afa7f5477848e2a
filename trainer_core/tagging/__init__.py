"""Captions: editing them, and the socket that automatic taggers plug into."""
