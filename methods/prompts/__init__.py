"""Methods that rewrite the prompt."""
