"""Fairness measures beyond one attribute: pure functions of counts, shares and embeddings."""
