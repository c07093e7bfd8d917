"""Result models, look-up of their rows, and the formatting of numbers."""
