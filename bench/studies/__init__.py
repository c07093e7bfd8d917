"""Simulation studies of the benchmark; each is a command that writes the results for a page of ``docs``."""
