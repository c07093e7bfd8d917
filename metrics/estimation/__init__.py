"""From the image and label tables to the estimates, differences and ranks of a run."""
