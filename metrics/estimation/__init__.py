"""From label tables to estimates."""
