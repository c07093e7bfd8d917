"""The stages of a run: fit, generate, label, measure, write."""
