"""Several runs or models against each other, paired by prompt and seed."""
