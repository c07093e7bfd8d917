"""Shared by judges and scorers: faces, pixels, colours, weights."""
