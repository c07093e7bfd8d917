"""Caches: images, labels and fits that one run has made and others can take, after a proof."""
