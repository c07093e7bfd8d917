"""Methods that change guidance."""
