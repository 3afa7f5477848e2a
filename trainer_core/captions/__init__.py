"""Captions: lists of tags, the rules by which they are made, edits by hand, the files they are written to."""
