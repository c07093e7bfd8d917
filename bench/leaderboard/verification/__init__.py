"""What maintainers do to believe an entry: regenerate a sample, draw fresh noise, sign the outcome."""
