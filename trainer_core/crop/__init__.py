"""Crop windows around the subject, and the aspect buckets they are trained in."""
