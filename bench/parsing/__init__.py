"""Strict readers of untrusted files."""
