"""Tuning: a search over a method's parameters on development prompts, the same for every method."""
