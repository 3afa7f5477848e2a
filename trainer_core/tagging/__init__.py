"""Taggers: models that say what they see, where they are found, and what they answered."""
