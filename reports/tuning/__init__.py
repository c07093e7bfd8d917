"""The page of a tuned method."""
