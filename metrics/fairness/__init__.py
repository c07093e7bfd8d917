"""Fairness metrics: pure functions of counts, shares and embeddings."""
