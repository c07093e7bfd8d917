"""What judges and scorers share: faces, pixels, colors, weights."""
