"""Prompt sets, the bundled ones among them, and the plan of a suite's images."""
