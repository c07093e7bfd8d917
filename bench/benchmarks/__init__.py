"""Benchmarks of the benchmark: scripts that print one ratio each, run by hand."""
