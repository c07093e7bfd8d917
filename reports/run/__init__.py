"""The audit report of a run."""
