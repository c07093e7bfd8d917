"""Comparing methods, models or runs, paired by prompt and seed."""
