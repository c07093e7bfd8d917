"""Caches: images, labels and fits that one run has made and others can take, after a proof."""

SAMPLE = 8
"""Default number of images of every method that are drawn again."""
