"""What a run leaves to be read: result models, look-up of their rows, and formatting."""
