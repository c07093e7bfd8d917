"""Intervals, bounds, tests, ranks, resampling and sample sizes."""
