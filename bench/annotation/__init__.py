"""Human annotation: batches of images out, annotations in."""
