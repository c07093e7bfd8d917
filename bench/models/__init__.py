"""Text-to-image models: loading, encoding, and sampling."""
