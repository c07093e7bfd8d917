"""Performance benchmarks of Evenhand; scripts to run by hand."""
