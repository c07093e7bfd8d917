"""Accuracy of judges, agreement between judges, and latent class models."""
