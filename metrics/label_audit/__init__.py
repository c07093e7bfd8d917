"""Your own labels, measured: from a data frame of perceived attributes to shares, distances and intervals."""
