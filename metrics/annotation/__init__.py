"""Human annotation: sampling of images; reading, checking and aggregation of annotations."""
