"""Measuring a run's judges on labeled images."""
