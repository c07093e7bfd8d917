"""Registered names: entry points, and methods and judges by name with parameters."""
