"""Scripts that write the CSVs of the bundled prompt sets."""
