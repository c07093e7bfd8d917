"""Intervals, tests, ranks, resampling and sample sizes."""
