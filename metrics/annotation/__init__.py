"""Human annotators: sampling, reading, checking and aggregating their answers."""
